// The loops of quantization, compiled once for every x86-64 and once with AVX2 from one source.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bundle::quantize {

/// One instruction set's functions. n counts floats and fills whole blocks.
struct BlockEncoder {
  const char* name;
  float (*largest)(const float* values, std::int64_t n);
  void (*q8_0)(const float* values, std::int64_t n, std::byte* out);
  void (*q4_0)(const float* values, std::int64_t n, std::byte* out);
  void (*q5_0)(const float* values, std::int64_t n, std::byte* out);
  void (*q4_k)(const float* values, std::int64_t n, std::byte* out);
  /// e4m3 of values / scale, which are at most 448.
  void (*f8)(const float* values, std::int64_t n, float scale, std::byte* out);
};

extern const BlockEncoder kPlainEncoder;
extern const BlockEncoder kAvx2Encoder;

/// The fastest that this processor runs.
const BlockEncoder& block_encoder();

}  // namespace bundle::quantize
