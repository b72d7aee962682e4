// Block-quantized types taken apart. Every such type of ggml is one formula,
//
//   value[i] = (d · scale[g]) · level(code[i]) − dmin · min[g],    g = i / group,
//
// with small unsigned codes whose level is `code − offset`, or an entry of a table (IQ4). The types
// differ only in how many bits a code has and where the bits lie. Layouts: ggml-common.h of ggml.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace bundle::kernels {

/// The levels of IQ4_NL's and IQ4_XS's codes.
inline constexpr std::array<std::int8_t, 16> kIq4Levels = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// What all blocks of one quantized type share.
struct QuantTraits {
  int group;                   // codes that share a scale: 16 or 32
  int code_bits;               // 2, 3, 4, 5, 6 or 8
  int offset;                  // of the levels; -1: IQ4's table
  bool has_min;                // else every min is 0
  bool scales;                 // has a scale a group, else every scale is 1
  bool nibble_scales = false;  // scale and min of a group are 4 bits each
};

/// The type must be quantized.
constexpr QuantTraits quant_traits(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return {32, 4, 8, false, false};
    case DType::kQ4_1:
      return {32, 4, 0, true, false};
    case DType::kQ5_0:
      return {32, 5, 16, false, false};
    case DType::kQ5_1:
      return {32, 5, 0, true, false};
    case DType::kQ8_0:
      return {32, 8, 128, false, false};
    case DType::kQ2K:
      return {16, 2, 0, true, true, true};
    case DType::kQ3K:
      return {16, 3, 4, false, true};
    case DType::kQ4K:
      return {32, 4, 0, true, true};
    case DType::kQ5K:
      return {32, 5, 0, true, true};
    case DType::kQ6K:
      return {16, 6, 32, false, true};
    case DType::kIQ4NL:
      return {32, 4, -1, false, false};
    default:  // kIQ4XS
      return {32, 4, -1, false, true};
  }
}

/// One block. `d` and `dmin` are halfs; dmin is negated where a type adds its minimum (Q4_1, Q5_1).
struct QuantBlock {
  std::uint16_t d = 0;
  std::uint16_t dmin = 0;
  std::array<std::int8_t, 16> scales = {};
  std::array<std::uint8_t, 16> mins = {};
  std::array<std::uint8_t, 256> codes = {};
};

/// Takes apart the block that starts at `block`, of dtype_info(type).bytes bytes. Entries past the
/// type's groups and codes are left as they are.
void split_block(DType type, const std::byte* block, QuantBlock& out);

}  // namespace bundle::kernels
