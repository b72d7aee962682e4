#include "runtime/kernels/reference/plain_cache.h"

#include <cstring>
#include <new>
#include <string>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/half.h"

namespace bundle::kernels::reference {
namespace {

/// Bytes of the whole cache; false when they overflow.
bool total_bytes(const KvShape& shape, std::int64_t blocks, std::size_t& total) {
  std::int64_t elements = shape.vectors();
  for (const std::int64_t factor :
       {shape.layers, blocks, shape.block_tokens, shape.kv_heads, shape.head_dim}) {
    if (factor <= 0 || __builtin_mul_overflow(elements, factor, &elements)) return false;
  }
  return !__builtin_mul_overflow(static_cast<std::size_t>(elements),
                                 static_cast<std::size_t>(dtype_info(shape.type).bytes), &total);
}

void narrow(DType type, const float* from, std::int64_t n, std::byte* to) {
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
  if (shape.type != DType::kF32 && shape.type != DType::kF16 && shape.type != DType::kBF16 &&
      shape.type != DType::kF8E4M3) {
    return bad_input("the cache cannot be of type " + std::string(dtype_info(shape.type).name), "",
                     "Use F32, F16, BF16 or F8_E4M3.");
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
  return data_.get() + index * shape_.head_dim * dtype_info(shape_.type).bytes;
}

void PlainCache::store(std::int64_t layer, const Slice& slice, std::int64_t position,
                       const float* k, const float* v) {
  const std::int64_t n = shape_.kv_heads * shape_.head_dim;
  narrow(shape_.type, k, n, at(layer, slice, position, false, 0));
  narrow(shape_.type, v, n, at(layer, slice, position, true, 0));
}

void PlainCache::store_latent(std::int64_t layer, const Slice& slice, std::int64_t position,
                              const float* latent) {
  narrow(shape_.type, latent, shape_.head_dim, at(layer, slice, position, false, 0));
}

void PlainCache::load_key(std::int64_t layer, const Slice& slice, std::int64_t position,
                          std::int64_t kv_head, float* out) const {
  dequantize_row(shape_.type, at(layer, slice, position, false, kv_head), shape_.head_dim, out);
}

void PlainCache::load_value(std::int64_t layer, const Slice& slice, std::int64_t position,
                            std::int64_t kv_head, float* out) const {
  dequantize_row(shape_.type, at(layer, slice, position, true, kv_head), shape_.head_dim, out);
}

}  // namespace bundle::kernels::reference
