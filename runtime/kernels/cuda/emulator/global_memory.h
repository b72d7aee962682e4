// The emulated device's memory: allocations with known ends, and who wrote what in one launch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/kernels/cuda/emulator/accessor.h"

namespace bundle::kernels::cuda::emulator {

/// A run of device memory, and for every byte who wrote it in which launch.
struct Allocation {
  struct Written {
    std::uint32_t launch = 0;
    Accessor by;
  };

  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool constant = false;                  // weights: written before any launch that reads them
  Written* written = nullptr;             // made by the first write of a kernel
  std::vector<std::uint32_t> pages = {};  // the last launch that wrote each page; with `written`
};

/// Not thread-safe.
class GlobalMemory {
 public:
  GlobalMemory() = default;
  ~GlobalMemory();
  GlobalMemory(const GlobalMemory&) = delete;
  GlobalMemory& operator=(const GlobalMemory&) = delete;

  /// `bytes` of memory, 256-byte aligned, filled with ones (NaN, and indices of -1), with unusable
  /// memory around; null when more than the limit is in use.
  void* allocate(std::size_t bytes, bool constant);
  /// False when `start` is not an allocation.
  bool free(void* start);
  void set_limit(std::size_t bytes) { limit_ = bytes; }
  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_; }

  /// The allocation around an address; null when there is none.
  Allocation* find(const void* address) {
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    for (Allocation* known : recent_) {
      if (known != nullptr && number >= known->begin && number < known->end) return known;
    }
    return look_up(number);
  }
  /// "16 bytes past the end of an allocation of 4096", for a fault's message.
  std::string describe(const void* address) const;

  /// Writes of launches before are ordered before all that follows.
  void begin_launch() { ++launch_; }
  /// Notes a write inside an allocation; gives the earlier, unordered writer of the bytes, or null.
  const Accessor* note_write(Allocation& in, const void* address, std::size_t bytes,
                             const Accessor& by);
  /// The unordered writer of bytes that are read, or null. An access does not cross a page: it is
  /// of 16 bytes at most, and aligned.
  const Accessor* writer_of(const Allocation& in, const void* address, std::size_t bytes,
                            const Accessor& by) const {
    if (in.written == nullptr) return nullptr;
    const std::size_t offset = reinterpret_cast<std::uintptr_t>(address) - in.begin;
    return in.pages[offset / kPage] == launch_ ? search_writer(in, offset, bytes, by) : nullptr;
  }

 private:
  static constexpr std::size_t kPage = 128;
  const Accessor* search_writer(const Allocation& in, std::size_t offset, std::size_t bytes,
                                const Accessor& by) const;
  Allocation* look_up(std::uintptr_t number);

  std::map<std::uintptr_t, Allocation> allocations_;  // by begin
  std::array<Allocation*, 4> recent_ = {};            // found last
  std::size_t turn_ = 0;
  std::uint32_t launch_ = 0;
  std::size_t limit_ = std::size_t{4} << 30;
  std::size_t used_ = 0;
};

}  // namespace bundle::kernels::cuda::emulator
