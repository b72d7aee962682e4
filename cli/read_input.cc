#include "cli/read_input.h"

#include "base/file.h"
#include "base/text.h"

namespace bundle::cli {

Result<std::string> read_input(const std::string& path) {
  constexpr std::uint64_t kCap = 256u << 20;
  return read_file(path == "-" ? "/dev/stdin" : path, kCap);
}

std::string replace_invalid(const std::string& text) { return replace_invalid_utf8(text); }

}  // namespace bundle::cli
