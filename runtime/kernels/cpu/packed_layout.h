// How weights lie in memory for the SIMD kernels.
//
// Sixteen rows are interleaved, so that one vector holds the same columns of sixteen rows, a dot
// product instruction adds to sixteen sums, and no sum is ever taken across a vector. Four columns
// (a "quad") of one row make one 32-bit word of the vector. A block of sixteen rows is a run of
// records, one for each of ggml's blocks of columns, and all is read from front to back: one
// stream, which the processor's prefetchers follow. A record holds
//
//   d, dmin    half [16]           ggml's block scale and minimum (dmin where the type has one)
//   scales     int8 [group][16]    K-quants: scale of a group of 16 or 32 columns
//   mins      uint8 [group][16]    K-quants: minimum of a group; Q2_K has it in the upper half of
//                                  the scale's byte instead
//   units           [32 columns]   the codes: a plane of their low bits, then one of the others
//
// with planes of
//
//   8 bits: 8 vectors, quad i is vector i
//   4 bits: 4 vectors, quad i is the low nibbles of vector i, quad i + 4 the high ones
//   2 bits: 2 vectors, quad 4h + i is bits 2i, 2i+1 of each byte of vector h
//   1 bit:  1 vector, quad i is bit i of each byte
//
// 8-bit floats and integers with scales have a record for 128 columns, the last one shorter: float
// [16], each row's scale of the block, and the bytes as a plane of 8 bits, 32 columns after 32.
// Integers lie 128 higher, as Q8_0's do.
//
// Other float types have no records: float [column][16], half [column][16], bfloat16 [pair][16][2].
// All this takes as much memory as the published bytes, at most 4 % more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace bundle::kernels::cpu {

inline constexpr int kPackRows = 16;

/// Byte offsets in a record, and sizes.
struct PackedLayout {
  DType type = DType::kF32;
  std::int64_t cols = 0;
  std::int64_t dmin = 0;
  std::int64_t scales = 0;
  std::int64_t mins = 0;
  std::int64_t units = 0;
  std::int64_t record_bytes = 0;
  std::int64_t stride = 0;  // from one block of rows to the next
};

/// False for the types that have no packed form (wide integers, double, F8_E5M2).
bool can_pack(DType type);

/// Whether the type scales groups of 16 columns, so that products with it need sums of 16.
bool needs_sums16(DType type);

/// The type must be one that can be packed, and cols must fill its blocks.
PackedLayout packed_layout(DType type, std::int64_t cols);

/// Packs `rows` (1 … 16) published rows, `row_bytes` apart, into the block at `out`, which must be
/// zeroed memory: rows that are absent stay zero.
void pack_rows(const PackedLayout& layout, const std::byte* published, std::int64_t row_bytes,
               int rows, std::byte* out);

/// Stores the scales of row `lane` of 8-bit floats or integers, one for each 128 columns.
void pack_scales(const PackedLayout& layout, int lane, const float* scales, std::byte* block);

/// Row `lane` (0 … 15) of a packed block, as dequantize_row gives it: cols floats.
void unpack_row(const PackedLayout& layout, const std::byte* block, int lane, float* out);

}  // namespace bundle::kernels::cpu
