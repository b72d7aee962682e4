#include "cloud/local/server_log.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

namespace bundle::cloud {
namespace {

constexpr std::uint64_t kMaxLogBytes = 16u << 20;
constexpr std::chrono::milliseconds kPoll{100};

std::uint64_t size_of(const Path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : size;
}

/// Bytes [from, to) of a file.
std::string read_range(const Path& file, std::uint64_t from, std::uint64_t to) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(from));
  std::string text(to - from, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

/// A text's last lines.
std::string end_of(const std::string& text, std::int64_t lines) {
  std::size_t at = text.size();
  // A newline at the very end closes the last line; it does not begin another.
  if (at > 0 && text[at - 1] == '\n') --at;
  for (std::int64_t seen = 0; seen < lines && at > 0; ++seen) {
    const std::size_t newline = text.rfind('\n', at - 1);
    if (newline == std::string::npos) return text;
    at = newline;
  }
  if (lines <= 0) return "";
  return at == 0 ? text : text.substr(at + 1);
}

}  // namespace

std::string last_lines(const Path& file, std::int64_t lines) { return lines_since(file, 0, lines); }

std::string lines_since(const Path& file, std::uint64_t from, std::int64_t lines) {
  const std::uint64_t size = size_of(file);
  if (from > size) from = 0;  // rotated since
  return end_of(
      read_range(file, std::max(from, size > kMaxLogBytes ? size - kMaxLogBytes : 0), size), lines);
}

Status read_log(const Path& file, const LogOptions& options,
                const std::function<bool(std::string_view)>& sink) {
  std::uint64_t at = size_of(file);
  if (!sink(last_lines(file, options.lines))) return {};
  while (options.follow) {
    const std::uint64_t size = size_of(file);
    if (size < at) at = 0;  // rotated
    if (!sink(size > at ? read_range(file, at, size) : std::string())) return {};
    at = size;
    std::this_thread::sleep_for(kPoll);
  }
  return {};
}

void rotate_log(const Path& log, const Path& old) {
  std::error_code ignored;
  if (size_of(log) > kMaxLogBytes) std::filesystem::rename(log, old, ignored);
}

}  // namespace bundle::cloud
