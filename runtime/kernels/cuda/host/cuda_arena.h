// Device memory for one step's activations.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/kernels/cuda/host/device_buffer.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

/// Hands out consecutive pieces of chunks that never move. A reset merges the chunks into one.
/// Memory that can not be had is an error of the arena from then on, and take() gives null: the
/// device then runs no kernel any more.
class CudaArena final : public Arena {
 public:
  /// `changes` counts moves of memory that graphs refer to. Both must outlive the arena.
  CudaArena(Driver& driver, Status& problem, std::uint64_t& changes)
      : driver_(driver), problem_(problem), changes_(changes) {}
  ~CudaArena() override { ++changes_; }

  void* take(std::size_t bytes) override;
  void reset() override;

 private:
  bool add_chunk(std::size_t bytes);

  Driver& driver_;
  Status& problem_;
  std::uint64_t& changes_;
  std::vector<DeviceBuffer> chunks_;
  std::size_t used_ = 0;  // of the last chunk
};

}  // namespace bundle::kernels::cuda
