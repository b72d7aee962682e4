#include "tests/kernels/random_weights.h"

#include <cstring>
#include <limits>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/half.h"

namespace bundle::kernels {
namespace {

/// Where a block's halfs lie, and the largest magnitude that multiplies them.
struct BlockScales {
  std::vector<int> offsets;
  float largest;
};

BlockScales scales_of(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return {{0}, 8};
    case DType::kQ4_1:
      return {{0, 2}, 15};
    case DType::kQ5_0:
      return {{0}, 16};
    case DType::kQ5_1:
      return {{0, 2}, 31};
    case DType::kQ8_0:
    case DType::kIQ4NL:
      return {{0}, 128};
    case DType::kQ2K:
      return {{80, 82}, 45};
    case DType::kQ3K:
      return {{108}, 128};
    case DType::kQ4K:
      return {{0, 2}, 945};
    case DType::kQ5K:
      return {{0, 2}, 1953};
    case DType::kQ6K:
      return {{208}, 4096};
    default:  // kIQ4XS
      return {{0}, 4064};
  }
}

void fill_float(RandomWeights& weights, std::mt19937& random, float scale) {
  std::uniform_real_distribution<float> value(-scale, scale);
  const auto size = static_cast<std::size_t>(dtype_info(weights.type).bytes);
  for (std::size_t at = 0; at < weights.bytes.size(); at += size) {
    const float x = value(random);
    const std::uint16_t narrow = weights.type == DType::kF16 ? float_to_half(x) : float_to_bf16(x);
    if (weights.type == DType::kF32) {
      std::memcpy(&weights.bytes[at], &x, size);
    } else {
      std::memcpy(&weights.bytes[at], &narrow, size);
    }
  }
}

void fill_blocks(RandomWeights& weights, std::mt19937& random, float scale) {
  for (std::byte& byte : weights.bytes) byte = static_cast<std::byte>(random());
  const BlockScales scales = scales_of(weights.type);
  std::uniform_real_distribution<float> value(-scale / scales.largest, scale / scales.largest);
  const auto size = static_cast<std::size_t>(dtype_info(weights.type).bytes);
  for (std::size_t at = 0; at < weights.bytes.size(); at += size)
    for (const int offset : scales.offsets) {
      const std::uint16_t half = float_to_half(value(random));
      std::memcpy(&weights.bytes[at + static_cast<std::size_t>(offset)], &half, sizeof half);
    }
}

/// Any code but the two of NaN.
void fill_bytes(RandomWeights& weights, std::mt19937& random) {
  for (std::byte& byte : weights.bytes) {
    byte = static_cast<std::byte>(random());
    const bool is_nan =
        weights.type == DType::kF8E4M3 && (byte & std::byte{0x7F}) == std::byte{0x7F};
    if (is_nan) byte = std::byte{0x7E};
  }
}

}  // namespace

std::vector<float> RandomWeights::row(std::int64_t index) const {
  std::vector<float> values(static_cast<std::size_t>(cols));
  dequantize_row(view(), index, values.data());
  return values;
}

RandomWeights random_weights(DType type, std::int64_t rows, std::int64_t cols, std::uint32_t seed,
                             float scale) {
  RandomWeights weights{type, rows, cols, {}};
  weights.bytes.resize(static_cast<std::size_t>(rows) * *storage_bytes(type, cols));
  std::mt19937 random(seed);
  if (is_quantized(type)) {
    fill_blocks(weights, random, scale);
  } else if (needs_scales(type)) {
    fill_bytes(weights, random);
    return with_scales(std::move(weights), type == DType::kI8 ? 1 : kScaleBlock, seed + 1, scale);
  } else {
    fill_float(weights, random, scale);
  }
  return weights;
}

RandomWeights with_scales(RandomWeights weights, std::int64_t scale_rows, std::uint32_t seed,
                          float scale) {
  const auto parts = [](std::int64_t size, std::int64_t of) { return (size + of - 1) / of; };
  const float largest = weights.type == DType::kI8 ? 128.0f : 448.0f;
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> value(0.1f * scale / largest, scale / largest);
  weights.scale_rows = scale_rows;
  weights.scales.clear();
  const std::int64_t count = parts(weights.rows, scale_rows) * parts(weights.cols, kScaleBlock);
  for (std::int64_t i = 0; i < count; ++i) weights.scales.push_back(value(random));
  return weights;
}

std::vector<float> random_floats(std::int64_t n, std::uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> value(0.0f, scale);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = value(random);
  return values;
}

std::string test_name(DType type, const std::string& isa) {
  return std::string(dtype_info(type).name) + "_" + isa;
}

}  // namespace bundle::kernels
