// Keys and values of the reference device, position by position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/kernels/device.h"

namespace bundle::kernels::reference {

/// Layout: (layers, blocks, block_tokens, key or value, kv_heads, head_dim) in the shape's type,
/// each vector of I8 with its scales behind it; a latent takes the place of both key and value.
class PlainCache final : public KvCache {
 public:
  /// kBadInput for another type than F32, F16, BF16, F8_E4M3, I8; kFailed when memory does not
  /// suffice.
  static Result<std::unique_ptr<PlainCache>> make(const KvShape& shape, std::int64_t blocks);

  const KvShape& shape() const override { return shape_; }
  std::int64_t num_blocks() const override { return blocks_; }

  /// Rounds one position's keys and values, each (kv_heads, head_dim), into the cache.
  void store(std::int64_t layer, const Slice& slice, std::int64_t position, const float* k,
             const float* v);
  /// Rounds one position's latent (head_dim) into the cache; load_key gives it back.
  void store_latent(std::int64_t layer, const Slice& slice, std::int64_t position,
                    const float* latent);
  /// The key or value of one head at one position, widened; `out` has head_dim elements.
  void load_key(std::int64_t layer, const Slice& slice, std::int64_t position, std::int64_t kv_head,
                float* out) const;
  void load_value(std::int64_t layer, const Slice& slice, std::int64_t position,
                  std::int64_t kv_head, float* out) const;

 private:
  PlainCache(const KvShape& shape, std::int64_t blocks, std::unique_ptr<std::byte[]> data)
      : shape_(shape), blocks_(blocks), data_(std::move(data)) {}

  std::byte* at(std::int64_t layer, const Slice& slice, std::int64_t position, bool value,
                std::int64_t kv_head) const;
  void widen(const std::byte* vector, float* out) const;

  KvShape shape_;
  std::int64_t blocks_;
  std::unique_ptr<std::byte[]> data_;
};

}  // namespace bundle::kernels::reference
