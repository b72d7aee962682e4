#include "runtime/kernels/dequantize.h"

#include <cstring>

#include "runtime/kernels/half.h"
#include "runtime/kernels/quant_block.h"

namespace bundle::kernels {
namespace {

template <typename Stored, typename Widen>
void widen_row(const std::byte* row, std::int64_t n, float* out, Widen widen) {
  for (std::int64_t i = 0; i < n; ++i) {
    Stored value;
    std::memcpy(&value, row + i * static_cast<std::int64_t>(sizeof value), sizeof value);
    out[i] = widen(value);
  }
}

template <typename Stored>
void convert_row(const std::byte* row, std::int64_t n, float* out) {
  widen_row<Stored>(row, n, out, [](Stored value) { return static_cast<float>(value); });
}

int level(const QuantTraits& traits, int code) {
  return traits.offset < 0 ? kIq4Levels[code] : code - traits.offset;
}

void dequantize_blocks(DType type, const std::byte* row, std::int64_t n, float* out) {
  const DTypeInfo& info = dtype_info(type);
  const QuantTraits traits = quant_traits(type);
  QuantBlock block;
  for (std::int64_t at = 0; at < n; at += info.block, row += info.bytes, out += info.block) {
    split_block(type, row, block);
    const float d = half_to_float(block.d);
    const float dmin = half_to_float(block.dmin);
    for (int i = 0; i < info.block; ++i) {
      const int g = i / traits.group;
      const float scaled = d * block.scales[g] * static_cast<float>(level(traits, block.codes[i]));
      out[i] = traits.has_min ? scaled - dmin * block.mins[g] : scaled;
    }
  }
}

}  // namespace

void dequantize_row(DType type, const std::byte* row, std::int64_t n, float* out) {
  switch (type) {
    case DType::kF32:
      return convert_row<float>(row, n, out);
    case DType::kF64:
      return convert_row<double>(row, n, out);
    case DType::kF16:
      return widen_row<std::uint16_t>(row, n, out, half_to_float);
    case DType::kBF16:
      return widen_row<std::uint16_t>(row, n, out, bf16_to_float);
    case DType::kF8E4M3:
      return widen_row<std::uint8_t>(row, n, out, f8e4m3_to_float);
    case DType::kF8E5M2:
      return widen_row<std::uint8_t>(row, n, out, f8e5m2_to_float);
    case DType::kI8:
      return convert_row<std::int8_t>(row, n, out);
    case DType::kI16:
      return convert_row<std::int16_t>(row, n, out);
    case DType::kI32:
      return convert_row<std::int32_t>(row, n, out);
    case DType::kI64:
      return convert_row<std::int64_t>(row, n, out);
    case DType::kU8:
    case DType::kBool:
      return convert_row<std::uint8_t>(row, n, out);
    default:
      return dequantize_blocks(type, row, n, out);
  }
}

void dequantize_row(const WeightView& weights, std::int64_t r, float* out) {
  const std::size_t row_bytes = weights.data.size() / static_cast<std::size_t>(weights.rows);
  dequantize_row(weights.type, weights.data.data() + static_cast<std::size_t>(r) * row_bytes,
                 weights.cols, out);
  if (weights.block_scales == nullptr) return;
  const float* scales = weights.scales_of(r);
  for (std::int64_t c = 0; c < weights.cols; ++c) out[c] *= scales[c / kScaleBlock];
}

}  // namespace bundle::kernels
