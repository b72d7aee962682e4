// The table of device functions for a device with memory of its own: constants must be placed
// there, steps can be kept, and what fails shows late.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

/// Constant floats in a device's memory (norm weights, biases, rotation frequencies), made by
/// GpuDevice::place(). Copies share the memory.
class DeviceVector {
 public:
  DeviceVector() = default;
  DeviceVector(std::shared_ptr<const float> data, std::int64_t size)
      : data_(std::move(data)), size_(size) {}

  /// In device memory; null when empty.
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::shared_ptr<const float> data_;
  std::int64_t size_ = 0;
};

/// The host's arrays that the calls of one step name. They stay as they are until the step ends.
struct StepInputs {
  std::span<const std::int32_t> ids;
  std::span<const Slice> slices;
  std::span<const std::int64_t> kept_rows;
  std::span<const Slice> kept_slices;
  const KvCache* cache = nullptr;
};

/// Pointers of Vectors, biases and RopeTables that are given to its functions must come from
/// place().
class GpuDevice : public Device {
 public:
  /// Copies constants to where the functions can read them.
  virtual Result<DeviceVector> place(std::span<const float> values) = 0;

  /// Runs a step: `body` makes the calls that belong to it, all but read(). `inputs` are copied to
  /// the device once, and a step of the same shape may run again without a call of `body`. Calls
  /// outside of a step work too, and cost more.
  virtual void run_step(const StepInputs& inputs, const std::function<void()>& body) = 0;

  /// Memory that a cache may still take.
  virtual std::uint64_t free_memory() const = 0;

  /// An error once the device can not go on: results since then mean nothing. Asked after read().
  virtual Status status() const = 0;
};

}  // namespace bundle::kernels::cuda
