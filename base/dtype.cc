#include "base/dtype.h"

#include <limits>

namespace bundle {

const DTypeInfo& dtype_info(DType type) {
  static constexpr DTypeInfo table[] = {
      {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"F8_E4M3", 1, 1},
      {"F8_E5M2", 1, 1},  {"F64", 1, 8},      {"I8", 1, 1},       {"I16", 1, 2},
      {"I32", 1, 4},      {"I64", 1, 8},      {"U8", 1, 1},       {"BOOL", 1, 1},
      {"Q4_0", 32, 18},   {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},
      {"Q8_0", 32, 34},   {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},
      {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
  };
  return table[static_cast<int>(type)];
}

std::optional<std::uint64_t> storage_bytes(DType type, std::int64_t elements) {
  const DTypeInfo& info = dtype_info(type);
  if (elements < 0 || elements % info.block != 0) return std::nullopt;
  const std::uint64_t blocks = static_cast<std::uint64_t>(elements) / info.block;
  if (blocks > std::numeric_limits<std::uint64_t>::max() / info.bytes) return std::nullopt;
  return blocks * info.bytes;
}

}  // namespace bundle
