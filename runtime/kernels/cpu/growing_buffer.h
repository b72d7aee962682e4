// Scratch memory of a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "runtime/kernels/cpu/huge_memory.h"

namespace bundle::kernels::cpu {

/// Memory that only grows, and forgets what it held when it does.
class GrowingBuffer {
 public:
  std::byte* at_least(std::int64_t bytes) {
    const auto size = static_cast<std::size_t>(bytes);
    if (memory_ == nullptr || memory_->size() < size) {
      memory_ = std::make_unique<HugeMemory>(size);
      if (memory_->data() == nullptr) throw std::bad_alloc();
    }
    return memory_->data();
  }

  float* floats(std::int64_t count) {
    return reinterpret_cast<float*>(at_least(count * static_cast<std::int64_t>(sizeof(float))));
  }

 private:
  std::unique_ptr<HugeMemory> memory_;
};

}  // namespace bundle::kernels::cpu
