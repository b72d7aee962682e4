// Device memory for the results between kernels, as large as the largest step needs.
#pragma once

#include <cstdint>

#include "runtime/kernels/cuda/host/device_buffer.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class GrowingBuffer {
 public:
  /// All must outlive it; `changes` counts moves of memory that graphs refer to, and `purpose`
  /// ("the mixture's results") is for messages.
  GrowingBuffer(Driver& driver, Stream stream, std::uint64_t& changes, const char* purpose)
      : driver_(driver), stream_(stream), changes_(changes), purpose_(purpose) {}

  /// Makes room for `bytes`; what it held is lost when it grows. kFailed when there is no memory.
  Status reserve(std::size_t bytes) {
    if (buffer_.bytes() >= bytes) return {};
    driver_.wait(stream_);
    BUNDLE_TRY(buffer_, DeviceBuffer::make(driver_, bytes, MemoryKind::kWork, purpose_));
    ++changes_;
    return {};
  }
  Status reserve_floats(std::int64_t floats) {
    return reserve(static_cast<std::size_t>(floats) * sizeof(float));
  }

  std::byte* data() const { return buffer_.data(); }
  float* floats() const { return reinterpret_cast<float*>(buffer_.data()); }

 private:
  Driver& driver_;
  Stream stream_;
  std::uint64_t& changes_;
  const char* purpose_;
  DeviceBuffer buffer_;
};

}  // namespace bundle::kernels::cuda
