#include "runtime/kernels/cuda/host/cuda_cache.h"

#include <optional>
#include <string>
#include <utility>

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kMostHeadDim = 256;
constexpr std::int64_t kMostVectors = 0xFFFFFFFF;  // of a layer: kernels number them in 32 bits
constexpr std::pair<DType, CacheType> kTypes[] = {{DType::kF32, CacheType::kF32},
                                                  {DType::kF16, CacheType::kF16},
                                                  {DType::kBF16, CacheType::kBF16},
                                                  {DType::kF8E4M3, CacheType::kF8}};

std::optional<CacheType> cache_type(DType type) {
  for (const auto& [published, ours] : kTypes) {
    if (published == type) return ours;
  }
  return std::nullopt;
}

std::int64_t stride_of(const KvShape& shape) { return (shape.head_dim + 7) / 8 * 8; }

bool multiply(std::int64_t& product, std::int64_t factor) {
  return factor > 0 && !__builtin_mul_overflow(product, factor, &product);
}

Result<std::int64_t> layer_bytes(const KvShape& shape, std::int64_t blocks) {
  std::int64_t bytes = shape.vectors();
  const bool fits = multiply(bytes, blocks) && multiply(bytes, shape.kv_heads) &&
                    multiply(bytes, shape.block_tokens) && bytes <= kMostVectors &&
                    multiply(bytes, stride_of(shape)) &&
                    multiply(bytes, dtype_info(shape.type).bytes);
  if (!fits) return bad_input("the cache has no or too many elements");
  return bytes;
}

Status check_shape(const KvShape& shape) {
  if (!cache_type(shape.type)) {
    return bad_input("the cache cannot be of type " + std::string(dtype_info(shape.type).name), "",
                     "Use F32, F16, BF16 or F8_E4M3.");
  }
  if (shape.latent_rank > 0) {
    const std::int64_t rope_dim = shape.head_dim - shape.latent_rank;
    if (shape.head_dim <= kMostLatentDim && shape.latent_rank % 2 == 0 && rope_dim % 2 == 0) {
      return {};
    }
    return bad_input("latents of " + std::to_string(shape.latent_rank) + " and " +
                     std::to_string(rope_dim) + " elements: the CUDA kernels take even numbers, " +
                     std::to_string(kMostLatentDim) + " together at most");
  }
  if (shape.head_dim <= kMostHeadDim) return {};
  return bad_input("attention heads of " + std::to_string(shape.head_dim) +
                   " elements are larger than the CUDA kernels' " + std::to_string(kMostHeadDim));
}

}  // namespace

Result<std::unique_ptr<CudaCache>> CudaCache::make(Driver& driver, const KvShape& shape,
                                                   std::int64_t blocks, std::uint64_t& changes) {
  BUNDLE_CHECK(check_shape(shape));
  BUNDLE_TRY(std::int64_t bytes, layer_bytes(shape, blocks));
  if (!multiply(bytes, shape.layers)) return bad_input("the cache has no or too many elements");
  BUNDLE_TRY(DeviceBuffer memory, DeviceBuffer::make(driver, static_cast<std::size_t>(bytes),
                                                     MemoryKind::kWork, "the key/value cache"));
  return std::unique_ptr<CudaCache>(new CudaCache(shape, blocks, std::move(memory), changes));
}

CacheLayer CudaCache::layer(std::int64_t index) const {
  CacheLayer layer{};
  layer.type = *cache_type(shape_.type);
  layer.blocks = blocks_;
  layer.block_tokens = static_cast<int>(shape_.block_tokens);
  layer.kv_heads = static_cast<int>(shape_.kv_heads);
  layer.head_dim = static_cast<int>(shape_.head_dim);
  layer.stride = static_cast<int>(stride_of(shape_));
  layer.vectors = static_cast<int>(shape_.vectors());
  layer.data = memory_.data() + index * *layer_bytes(shape_, blocks_);
  return layer;
}

}  // namespace bundle::kernels::cuda
