#include "runtime/kernels/cuda/host/uploader.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{16} << 20;

}  // namespace

Uploader::~Uploader() {
  driver_.wait(stream_);
  for (const Buffer& buffer : buffers_) {
    if (buffer.copied != nullptr) driver_.free_event(buffer.copied);
  }
}

/// A buffer of at least `bytes` whose last copy is done.
Result<Uploader::Buffer*> Uploader::next(std::size_t bytes) {
  Buffer& buffer = buffers_[turn_++ % buffers_.size()];
  if (buffer.copied == nullptr) {
    buffer.copied = driver_.make_event();
  } else {
    driver_.wait_event(buffer.copied);
  }
  if (buffer.memory.bytes() < bytes) {
    BUNDLE_TRY(buffer.memory, HostBuffer::make(driver_, std::max(bytes, kBufferBytes)));
  }
  return &buffer;
}

Status Uploader::upload(std::byte* device, std::int64_t rows, std::size_t row_bytes,
                        const std::function<void(std::int64_t, std::int64_t, std::byte*)>& write) {
  if (row_bytes == 0) return {};
  const auto at_once =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(kBufferBytes / row_bytes));
  for (std::int64_t first = 0; first < rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows - first);
    const std::size_t bytes = static_cast<std::size_t>(count) * row_bytes;
    BUNDLE_TRY(Buffer * buffer, next(bytes));
    write(first, count, buffer->memory.data());
    driver_.copy_in(stream_, device + static_cast<std::size_t>(first) * row_bytes,
                    buffer->memory.data(), bytes);
    driver_.record(buffer->copied, stream_);
  }
  return driver_status(driver_);
}

}  // namespace bundle::kernels::cuda
