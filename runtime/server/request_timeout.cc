#include "runtime/server/request_timeout.h"

#include <charconv>

namespace bundle::server {

std::optional<std::chrono::milliseconds> requested_timeout(const HttpRequest& request) {
  constexpr std::int64_t kDay = 86'400'000;
  const std::string_view text = request.field(kTimeoutField);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || value < 1 || value > kDay) return std::nullopt;
  return std::chrono::milliseconds(value);
}

}  // namespace bundle::server
