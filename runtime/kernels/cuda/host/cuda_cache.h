// The paged cache in device memory; ops.h has its layout.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/kernels/cuda/host/device_buffer.h"
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

class CudaCache final : public KvCache {
 public:
  /// kBadInput for a type or size that the kernels do not have, kFailed when memory does not
  /// suffice. `changes` counts moves of memory that graphs refer to.
  static Result<std::unique_ptr<CudaCache>> make(Driver& driver, const KvShape& shape,
                                                 std::int64_t blocks, std::uint64_t& changes);
  ~CudaCache() override { ++changes_; }

  const KvShape& shape() const override { return shape_; }
  std::int64_t num_blocks() const override { return blocks_; }

  CacheLayer layer(std::int64_t index) const;

 private:
  CudaCache(const KvShape& shape, std::int64_t blocks, DeviceBuffer memory, std::uint64_t& changes)
      : shape_(shape), blocks_(blocks), memory_(std::move(memory)), changes_(changes) {}

  KvShape shape_;
  std::int64_t blocks_;
  DeviceBuffer memory_;
  std::uint64_t& changes_;
};

}  // namespace bundle::kernels::cuda
