#include "runtime/kernels/cuda/host/cuda_cache.h"

#include <limits>
#include <string>

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kMostHeadDim = 256;

std::int64_t stride_of(const KvShape& shape) { return (shape.head_dim + 7) / 8 * 8; }

bool multiply(std::int64_t& product, std::int64_t factor) {
  return factor > 0 && !__builtin_mul_overflow(product, factor, &product);
}

Result<std::int64_t> layer_bytes(const KvShape& shape, std::int64_t blocks) {
  std::int64_t bytes = 2;
  const bool fits = multiply(bytes, blocks) && multiply(bytes, shape.kv_heads) &&
                    multiply(bytes, shape.block_tokens) && multiply(bytes, stride_of(shape)) &&
                    multiply(bytes, dtype_info(shape.type).bytes);
  if (!fits) return bad_input("the cache has no or too many elements");
  return bytes;
}

Status check_shape(const KvShape& shape) {
  if (shape.type != DType::kF32 && shape.type != DType::kF16 && shape.type != DType::kBF16) {
    return bad_input("the cache cannot be of type " + std::string(dtype_info(shape.type).name), "",
                     "Use F32, F16 or BF16.");
  }
  if (shape.latent_rank > 0) {
    return bad_input("the CUDA backend has no kernels for latent attention yet", "",
                     "Run the model on the CPU: runtime.backend=cpu.");
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
  layer.type = shape_.type == DType::kF32   ? CacheType::kF32
               : shape_.type == DType::kF16 ? CacheType::kF16
                                            : CacheType::kBF16;
  layer.blocks = blocks_;
  layer.block_tokens = static_cast<int>(shape_.block_tokens);
  layer.kv_heads = static_cast<int>(shape_.kv_heads);
  layer.head_dim = static_cast<int>(shape_.head_dim);
  layer.stride = static_cast<int>(stride_of(shape_));
  layer.data = memory_.data() + index * *layer_bytes(shape_, blocks_);
  return layer;
}

}  // namespace bundle::kernels::cuda
