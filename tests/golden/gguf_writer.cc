#include "tests/golden/gguf_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "runtime/kernels/half.h"

namespace bundle::golden {
namespace {

constexpr std::size_t kAlignment = 32;
constexpr int kBlock = 32;

template <typename T>
void put(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}

/// Type number and value of a metadata field.
struct PutField {
  std::string& out;

  void operator()(std::uint32_t value) const {
    put<std::uint32_t>(out, 4);
    put(out, value);
  }
  void operator()(float value) const {
    put<std::uint32_t>(out, 6);
    put(out, value);
  }
  void operator()(bool value) const {
    put<std::uint32_t>(out, 7);
    put<std::uint8_t>(out, value ? 1 : 0);
  }
  void operator()(const std::string& value) const {
    put<std::uint32_t>(out, 8);
    put_string(out, value);
  }
};

std::uint32_t ggml_type(DType type) {
  switch (type) {
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 6;
    case DType::kQ5_1:
      return 7;
    case DType::kQ8_0:
      return 8;
    case DType::kQ2K:
      return 10;
    case DType::kQ3K:
      return 11;
    case DType::kQ4K:
      return 12;
    case DType::kQ5K:
      return 13;
    case DType::kQ6K:
      return 14;
    case DType::kIQ4NL:
      return 20;
    case DType::kIQ4XS:
      return 23;
    case DType::kBF16:
      return 30;
    default:
      return 0;  // F32
  }
}

void align(std::string& out) {
  out.append((kAlignment - out.size() % kAlignment) % kAlignment, '\0');
}

float max_magnitude(std::span<const float> block) {
  float largest = 0.0f;
  for (const float value : block) {
    if (std::abs(value) > std::abs(largest)) largest = value;
  }
  return largest;
}

std::uint8_t code(float value, int highest) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, static_cast<long>(highest)));
}

/// Low four bits of codes i and i + 16 share byte i; fifth bits are a little-endian word before.
void put_codes(std::string& out, const std::uint8_t (&codes)[kBlock], bool fifth_bits) {
  std::uint32_t high = 0;
  for (int i = 0; i < kBlock; ++i) high |= static_cast<std::uint32_t>(codes[i] >> 4 & 1u) << i;
  if (fifth_bits) put(out, high);
  for (int i = 0; i < kBlock / 2; ++i) {
    put<std::uint8_t>(out, (codes[i] & 15u) | static_cast<std::uint8_t>(codes[i + 16] << 4));
  }
}

/// Q4_0 and Q5_0: d · (code − half), the extreme value on code 0.
void put_centred(std::string& out, std::span<const float> block, int bits) {
  const int half = 1 << (bits - 1);
  const float d = max_magnitude(block) / static_cast<float>(-half);
  std::uint8_t codes[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    codes[i] = code((d != 0.0f ? block[i] / d : 0.0f) + static_cast<float>(half), 2 * half - 1);
  }
  put(out, kernels::float_to_half(d));
  put_codes(out, codes, bits == 5);
}

/// Q4_1 and Q5_1: min + d · code.
void put_ranged(std::string& out, std::span<const float> block, int bits) {
  const auto [low, high] = std::minmax_element(block.begin(), block.end());
  const int highest = (1 << bits) - 1;
  const float d = (*high - *low) / static_cast<float>(highest);
  std::uint8_t codes[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    codes[i] = code(d != 0.0f ? (block[i] - *low) / d : 0.0f, highest);
  }
  put(out, kernels::float_to_half(d));
  put(out, kernels::float_to_half(*low));
  put_codes(out, codes, bits == 5);
}

void put_q8(std::string& out, std::span<const float> block) {
  const float d = std::abs(max_magnitude(block)) / 127.0f;
  put(out, kernels::float_to_half(d));
  for (const float value : block) {
    put(out, static_cast<std::int8_t>(d != 0.0f ? std::lround(value / d) : 0));
  }
}

void put_block(std::string& out, DType type, std::span<const float> block) {
  switch (type) {
    case DType::kQ4_0:
      return put_centred(out, block, 4);
    case DType::kQ5_0:
      return put_centred(out, block, 5);
    case DType::kQ4_1:
      return put_ranged(out, block, 4);
    case DType::kQ5_1:
      return put_ranged(out, block, 5);
    default:
      return put_q8(out, block);
  }
}

void put_plain(std::string& out, DType type, float value) {
  if (type == DType::kF32) return put(out, value);
  put(out, type == DType::kF16 ? kernels::float_to_half(value) : kernels::float_to_bf16(value));
}

}  // namespace

std::string quantize(DType type, const std::vector<float>& values) {
  std::string out;
  if (!is_quantized(type)) {
    for (const float value : values) put_plain(out, type, value);
    return out;
  }
  for (std::size_t at = 0; at + kBlock <= values.size(); at += kBlock) {
    put_block(out, type, std::span(values).subspan(at, kBlock));
  }
  return out;
}

std::string gguf_text(const std::vector<std::pair<std::string, GgufField>>& fields,
                      const std::vector<StoredTensor>& tensors) {
  std::string out = "GGUF";
  put<std::uint32_t>(out, 3);
  put<std::uint64_t>(out, tensors.size());
  put<std::uint64_t>(out, fields.size());
  for (const auto& [key, value] : fields) {
    put_string(out, key);
    std::visit(PutField{out}, value);
  }
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    put_string(out, tensor.name);
    put(out, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) put(out, *size);
    put(out, ggml_type(tensor.type));
    put<std::uint64_t>(out, data.size());
    data += tensor.bytes;
    align(data);
  }
  align(out);
  return out + data;
}

}  // namespace bundle::golden
