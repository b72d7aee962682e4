#include "runtime/chat/strftime.h"

#include <array>
#include <ctime>

#include "runtime/chat/runtime.h"

namespace bundle::chat {
namespace {

/// The directives that Python answers itself: microseconds, and the zone that now() does not have.
std::string without_own_directives(std::string_view format) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char directive = format[++i];
    if (directive == 'f') {
      out += "000000";
    } else if (directive != 'z' && directive != 'Z') {
      out += '%';
      out += directive;
    }
  }
  return out;
}

}  // namespace

Result<std::string> format_time(std::string_view format, std::int64_t now) {
  const std::time_t seconds = now;
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return render_error("the clock is out of range");
  // The final mark tells an empty result from one that does not fit.
  const std::string own = without_own_directives(format) + "|";
  std::array<char, 4097> buffer;
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), own.c_str(), &parts);
  if (size == 0) return render_error("strftime_now makes too long a text");
  return std::string(buffer.data(), size - 1);
}

}  // namespace bundle::chat
