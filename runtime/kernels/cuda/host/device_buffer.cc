#include "runtime/kernels/cuda/host/device_buffer.h"

#include <fmt/format.h>
#include <string>

namespace bundle::kernels::cuda {
namespace {

std::string gib(std::size_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / double(1 << 30));
}

}  // namespace

Result<DeviceBuffer> DeviceBuffer::make(Driver& driver, std::size_t bytes, MemoryKind kind,
                                        const char* purpose) {
  DeviceBuffer buffer;
  buffer.data_ = driver.allocate(bytes == 0 ? 1 : bytes, kind);
  if (buffer.data_ == nullptr) {
    const DeviceFacts facts = driver.facts();
    const std::size_t missing = bytes > facts.free_bytes ? bytes - facts.free_bytes : 0;
    return failed(
        fmt::format("the GPU's memory does not hold {}: {} asked for, {} of {} free, {} missing",
                    purpose, gib(bytes), gib(facts.free_bytes), gib(facts.total_bytes),
                    gib(missing)),
        facts.name,
        "Use a smaller context_length, kv_tokens or max_sequences, weights of fewer bits, or a "
        "larger GPU; `bundle size` says which fit.");
  }
  buffer.driver_ = &driver;
  buffer.bytes_ = bytes;
  return buffer;
}

Result<HostBuffer> HostBuffer::make(Driver& driver, std::size_t bytes) {
  HostBuffer buffer;
  buffer.data_ = driver.allocate_host(bytes);
  if (buffer.data_ == nullptr) {
    return failed(fmt::format("no {} of page-locked memory for copies to the GPU", gib(bytes)), "",
                  "Raise the limit on locked memory (ulimit -l), or free host memory.");
  }
  buffer.driver_ = &driver;
  buffer.bytes_ = bytes;
  return buffer;
}

Status driver_status(const Driver& driver) {
  const char* problem = driver.status();
  if (problem == nullptr) return {};
  return failed(std::string("the GPU failed: ") + problem, driver.facts().name,
                "The engine must start again.");
}

}  // namespace bundle::kernels::cuda
