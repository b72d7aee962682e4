#include "runtime/kernels/reference/plain_cache.h"

#include <cstring>
#include <new>
#include <string>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/half.h"
#include "runtime/kernels/int8_group.h"

namespace bundle::kernels::reference {
namespace {

/// Larger heads are no head's: their bytes would overflow.
constexpr std::int64_t kLargestHead = std::int64_t{1} << 32;

/// Bytes of the whole cache; false when they overflow.
bool total_bytes(const KvShape& shape, std::int64_t blocks, std::size_t& total) {
  if (shape.head_dim <= 0 || shape.head_dim > kLargestHead) return false;
  std::int64_t bytes = shape.vectors() * kv_vector_bytes(shape.type, shape.head_dim);
  for (const std::int64_t factor : {shape.layers, blocks, shape.block_tokens, shape.kv_heads}) {
    if (factor <= 0 || __builtin_mul_overflow(bytes, factor, &bytes)) return false;
  }
  total = static_cast<std::size_t>(bytes);
  return true;
}

bool can_hold(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 ||
         type == DType::kF8E4M3 || type == DType::kI8;
}

/// One vector of n elements.
void narrow(DType type, const float* from, std::int64_t n, std::byte* to) {
  if (type == DType::kI8) return store_int8(from, n, to, to + n, 1);
  if (type == DType::kF32) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i < n && type == DType::kF8E4M3; ++i) {
    to[i] = static_cast<std::byte>(float_to_f8e4m3(from[i]));
  }
  for (std::int64_t i = 0; i < n && type != DType::kF8E4M3; ++i) {
    const std::uint16_t half =
        type == DType::kF16 ? float_to_half(from[i]) : float_to_bf16(from[i]);
    std::memcpy(to + i * 2, &half, sizeof(half));
  }
}

}  // namespace

Result<std::unique_ptr<PlainCache>> PlainCache::make(const KvShape& shape, std::int64_t blocks) {
  if (!can_hold(shape.type)) {
    return bad_input("the cache cannot be of type " + std::string(dtype_info(shape.type).name), "",
                     "Use F32, F16, BF16, F8_E4M3 or I8.");
  }
  std::size_t bytes = 0;
  if (!total_bytes(shape, blocks, bytes)) return bad_input("the cache has no or too many elements");
  std::unique_ptr<std::byte[]> data(new (std::nothrow) std::byte[bytes]);
  if (data == nullptr) {
    return failed("no memory for a cache of " + std::to_string(bytes) + " bytes", "",
                  "Give it fewer tokens.");
  }
  return std::unique_ptr<PlainCache>(new PlainCache(shape, blocks, std::move(data)));
}

std::byte* PlainCache::at(std::int64_t layer, const Slice& slice, std::int64_t position, bool value,
                          std::int64_t kv_head) const {
  const std::int64_t block = slice.blocks[position / shape_.block_tokens];
  std::int64_t index = layer * blocks_ + block;
  index = index * shape_.block_tokens + position % shape_.block_tokens;
  index = (index * shape_.vectors() + (value ? 1 : 0)) * shape_.kv_heads + kv_head;
  return data_.get() + index * kv_vector_bytes(shape_.type, shape_.head_dim);
}

void PlainCache::store(std::int64_t layer, const Slice& slice, std::int64_t position,
                       const float* k, const float* v) {
  const std::int64_t n = shape_.head_dim;
  for (std::int64_t head = 0; head < shape_.kv_heads; ++head) {
    narrow(shape_.type, k + head * n, n, at(layer, slice, position, false, head));
    narrow(shape_.type, v + head * n, n, at(layer, slice, position, true, head));
  }
}

void PlainCache::store_latent(std::int64_t layer, const Slice& slice, std::int64_t position,
                              const float* latent) {
  narrow(shape_.type, latent, shape_.head_dim, at(layer, slice, position, false, 0));
}

void PlainCache::load_key(std::int64_t layer, const Slice& slice, std::int64_t position,
                          std::int64_t kv_head, float* out) const {
  widen(at(layer, slice, position, false, kv_head), out);
}

void PlainCache::load_value(std::int64_t layer, const Slice& slice, std::int64_t position,
                            std::int64_t kv_head, float* out) const {
  widen(at(layer, slice, position, true, kv_head), out);
}

void PlainCache::widen(const std::byte* vector, float* out) const {
  const std::int64_t n = shape_.head_dim;
  if (shape_.type == DType::kI8) return load_int8(vector, vector + n, 1, n, out);
  dequantize_row(shape_.type, vector, n, out);
}

}  // namespace bundle::kernels::reference
