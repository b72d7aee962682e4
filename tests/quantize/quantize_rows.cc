// quantize_rows TYPE < floats > blocks: encode_row() of all of standard input. TYPE is Q8_0, Q4_0,
// Q5_0 or Q4_K.
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/quantize/quantize.h"

namespace {

using bundle::DType;

std::optional<DType> type_of(std::string_view name) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ5_0, DType::kQ4K}) {
    if (bundle::dtype_info(type).name == name) return type;
  }
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  const auto type = argc == 2 ? type_of(argv[1]) : std::nullopt;
  if (!type) return 2;
  std::vector<float> values;
  float piece[4096];
  for (std::size_t n; (n = std::fread(piece, sizeof(float), 4096, stdin)) > 0;) {
    values.insert(values.end(), piece, piece + n);
  }
  const auto count = static_cast<std::int64_t>(values.size());
  const auto bytes = bundle::storage_bytes(*type, count);
  if (!bytes) return 3;
  std::vector<std::byte> out(*bytes);
  bundle::quantize::encode_row(*type, values.data(), count, out.data());
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
}
