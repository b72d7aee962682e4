#include "runtime/kernels/cpu/kv_cache.h"

#include <optional>

namespace bundle::kernels::cpu {
namespace {

std::optional<KvType> kv_type(DType type) {
  if (type == DType::kF32) return KvType::kF32;
  if (type == DType::kF16) return KvType::kF16;
  if (type == DType::kBF16) return KvType::kBf16;
  if (type == DType::kF8E4M3) return KvType::kF8;
  if (type == DType::kI8) return KvType::kI8;
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<KvCache>> CpuKvCache::create(const KvShape& shape, std::int64_t blocks) {
  const auto type = kv_type(shape.type);
  if (!type)
    return bad_input("the key/value cache can not hold " + std::string(dtype_info(shape.type).name),
                     {}, "Choose F16, BF16, F32, F8_E4M3 or I8.");
  if (shape.layers <= 0 || shape.kv_heads <= 0 || shape.head_dim <= 0 || shape.block_tokens <= 0 ||
      blocks <= 0)
    return bad_input("a key/value cache needs positive sizes");
  auto cache = std::make_unique<CpuKvCache>();
  cache->shape_ = shape;
  cache->blocks_ = blocks;
  cache->type_ = *type;
  cache->dim_ = (shape.head_dim + kTile - 1) / kTile * kTile;
  cache->element_bytes_ = dtype_info(shape.type).bytes;
  cache->vector_bytes_ = kv_vector_bytes(shape.type, cache->dim_);
  cache->tiles_ = (shape.block_tokens + kTile - 1) / kTile;
  std::int64_t bytes = shape.vectors() * cache->tile_bytes();
  for (const std::int64_t factor : {cache->tiles_, shape.kv_heads, shape.layers, blocks})
    if (__builtin_mul_overflow(bytes, factor, &bytes))
      return bad_input("the key/value cache is larger than memory can be");
  cache->bytes_ = bytes;
  cache->memory_ = std::make_unique<HugeMemory>(static_cast<std::size_t>(bytes));
  if (cache->memory_->data() == nullptr)
    return failed("no memory for the key/value cache", {}, "Configure a smaller cache.");
  return cache;
}

}  // namespace bundle::kernels::cpu
