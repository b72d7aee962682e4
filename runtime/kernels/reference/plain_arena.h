// Host memory for one step's activations.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::kernels::reference {

/// Hands out consecutive pieces of chunks that never move. A reset merges the chunks into one, so
/// that steps of like size take no memory from the system.
class PlainArena final : public Arena {
 public:
  void* take(std::size_t bytes) override;
  void reset() override;

 private:
  static constexpr std::align_val_t kAlignment{64};

  struct Free {
    void operator()(std::byte* data) const { ::operator delete(data, kAlignment); }
  };
  struct Chunk {
    std::unique_ptr<std::byte, Free> data;
    std::size_t size = 0;
  };

  void add_chunk(std::size_t size);

  std::vector<Chunk> chunks_;
  std::size_t used_ = 0;  // of the last chunk
};

}  // namespace bundle::kernels::reference
