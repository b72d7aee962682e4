// Bytes from mapped files to device memory, through two page-locked buffers: one is filled while
// the other is copied.
#pragma once

#include <array>
#include <functional>

#include "runtime/kernels/cuda/host/device_buffer.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class Uploader {
 public:
  /// Both must outlive it.
  Uploader(Driver& driver, Stream stream) : driver_(driver), stream_(stream) {}
  ~Uploader();
  Uploader(const Uploader&) = delete;

  /// Fills `rows` rows of `row_bytes` from `device` on: write(first, count, out) writes rows
  /// [first, first + count) to host memory. Returns before the last copies are done; later work of
  /// the stream sees them.
  Status upload(std::byte* device, std::int64_t rows, std::size_t row_bytes,
                const std::function<void(std::int64_t, std::int64_t, std::byte*)>& write);

 private:
  struct Buffer {
    HostBuffer memory;
    Event copied = nullptr;
  };

  Result<Buffer*> next(std::size_t bytes);

  Driver& driver_;
  Stream stream_;
  std::array<Buffer, 2> buffers_;
  std::size_t turn_ = 0;
};

}  // namespace bundle::kernels::cuda
