// Floats into the block-quantized types of ggml and into bytes with scales beside them: the way
// back from what runtime/kernels/dequantize.h reads. The bytes are the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/dtype.h"

namespace bundle::quantize {

/// Rows and columns of a matrix that share one scale of an 8-bit float matrix.
inline constexpr std::int64_t kScaleBlock = 128;

/// A matrix as it is published: (rows, cols), row-major, in F32, F16, BF16, or e4m3 with a float
/// for each 128x128 block.
struct SourceMatrix {
  DType type = DType::kF32;
  Bytes data;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* block_scales = nullptr;
};

/// Elements first_col … first_col + n of a row. Of e4m3 only whole rows.
void read_row(const SourceMatrix& matrix, std::int64_t row, std::int64_t first_col, std::int64_t n,
              float* out);

/// The largest magnitude of n floats; not finite when one of them is not.
float largest_magnitude(const float* values, std::int64_t n);

/// Writes n consecutive floats, finite, as storage_bytes(type, n) bytes; n fills whole blocks. The
/// type is F32, F16, BF16, Q8_0, Q4_0, Q5_0 or Q4_K.
///
/// Q8_0, Q4_0 and Q5_0 give ggml's bytes (ggml-quants.c, quantize_row_*_ref). Q4_K has ggml's
/// layout and minimises the same sum: of the squared errors, each weighted by |x| + the root mean
/// square of its 32 neighbours, so that large weights count more.
void encode_row(DType type, const float* row, std::int64_t n, std::byte* out);

/// Writes `rows` (up to 128) rows of `cols` floats, finite and `stride` apart, as e4m3 bytes, also
/// `stride` apart, and a scale for each 128 columns to `scales`: value = byte · scale, as
/// DeepSeek-V3's `weight_scale_inv` is meant. The scale is the block's largest magnitude / 448, and
/// 1 for a block of zeros.
void encode_f8_strip(const float* values, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                     std::byte* out, float* scales);

/// Writes `rows` consecutive rows of `cols` floats, finite, as signed bytes, and a scale for each
/// to `scales`: value = byte · scale. The scale is the row's largest magnitude / 127, and 1 for a
/// row of nothing larger than subnormals; halves go to the even byte.
void encode_int8_rows(const float* values, std::int64_t rows, std::int64_t cols, std::byte* out,
                      float* scales);

}  // namespace bundle::quantize
