// A run of device memory that frees itself.
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.h"
#include "runtime/kernels/cuda/driver/driver.h"

namespace bundle::kernels::cuda {

/// Owns; the driver must outlive it.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) driver_->free(data_);
  }

  /// kFailed says how much is missing; `purpose` ("the weights") says for what.
  static Result<DeviceBuffer> make(Driver& driver, std::size_t bytes, MemoryKind kind,
                                   const char* purpose);

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  Driver* driver_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Page-locked host memory that frees itself.
class HostBuffer {
 public:
  HostBuffer() = default;
  HostBuffer(HostBuffer&& other) noexcept { *this = std::move(other); }
  HostBuffer& operator=(HostBuffer&& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~HostBuffer() {
    if (data_ != nullptr) driver_->free_host(data_);
  }

  static Result<HostBuffer> make(Driver& driver, std::size_t bytes);

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  Driver* driver_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A stream that frees itself.
class OwnedStream {
 public:
  explicit OwnedStream(Driver& driver) : driver_(driver), stream_(driver.make_stream()) {}
  ~OwnedStream() { driver_.free_stream(stream_); }
  OwnedStream(const OwnedStream&) = delete;
  OwnedStream& operator=(const OwnedStream&) = delete;

  Stream get() const { return stream_; }

 private:
  Driver& driver_;
  Stream stream_;
};

/// What a driver's status() says, as an error; none while all is well.
Status driver_status(const Driver& driver);

}  // namespace bundle::kernels::cuda
