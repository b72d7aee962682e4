// The paged key/value cache of the CPU.
//
// A block holds, for each layer and each key/value head, tiles of sixteen positions: the keys
// transposed, (dim, 16), then the values, (16, dim), with dim rounded up to a multiple of 16 by
// zeros. A latent serves as key and value: its tiles are (16, dim) alone. Behind the elements of a
// tile of I8 lie its scales, bfloat16 [group of kKvScaleGroup elements][16 positions]. All layers
// of a block lie together, so a short sequence touches little memory.
#pragma once

#include <memory>

#include "runtime/kernels/cpu/huge_memory.h"
#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

/// Thread-safe for different positions.
class CpuKvCache : public KvCache {
 public:
  /// kBadInput for an element type other than F32, F16, BF16, F8_E4M3 and I8, or sizes that are not
  /// positive; kFailed when memory runs out.
  static Result<std::unique_ptr<KvCache>> create(const KvShape& shape, std::int64_t blocks);

  const KvShape& shape() const override { return shape_; }
  std::int64_t num_blocks() const override { return blocks_; }

  /// All that it holds of all its blocks.
  std::int64_t bytes() const { return bytes_; }
  KvType type() const { return type_; }
  /// Values of a head as stored: head_dim rounded up.
  std::int64_t dim() const { return dim_; }
  std::int64_t element_bytes() const { return element_bytes_; }
  /// Bytes of a tile of keys, and of one of values.
  std::int64_t tile_bytes() const { return kTile * vector_bytes_; }
  /// Where the scales of position `lane` of a tile begin; those of its groups lie kTile apart.
  std::byte* scales(std::byte* tile, std::int64_t lane) const {
    return tile + kTile * dim_ * element_bytes_ + lane * kScaleBytes;
  }
  /// 0 for types that have no scales.
  std::int64_t scale_groups() const {
    return (vector_bytes_ - dim_ * element_bytes_) / kScaleBytes;
  }
  /// Tile `tile` of a block: keys, followed by values; or latents.
  std::byte* tile(std::int32_t block, std::int64_t layer, std::int64_t head,
                  std::int64_t tile) const {
    const std::int64_t at = (block * shape_.layers + layer) * shape_.kv_heads + head;
    return memory_->data() + (at * tiles_ + tile) * shape_.vectors() * tile_bytes();
  }

  /// Of one scale.
  static constexpr std::int64_t kScaleBytes = 2;

 private:
  KvShape shape_;
  std::int64_t blocks_ = 0;
  KvType type_ = KvType::kF16;
  std::int64_t dim_ = 0;
  std::int64_t element_bytes_ = 0;
  std::int64_t vector_bytes_ = 0;  // of dim_ elements, scales included
  std::int64_t tiles_ = 0;         // of one head and layer in a block
  std::int64_t bytes_ = 0;
  std::unique_ptr<HugeMemory> memory_;
};

}  // namespace bundle::kernels::cpu
