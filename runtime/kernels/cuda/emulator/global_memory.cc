#include "runtime/kernels/cuda/emulator/global_memory.h"

#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <new>

namespace bundle::kernels::cuda::emulator {
namespace {

constexpr std::size_t kGuard = 256;  // unusable bytes on both sides
constexpr std::uintptr_t kGrain = 1;

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

}  // namespace

GlobalMemory::~GlobalMemory() {
  while (!allocations_.empty()) free(reinterpret_cast<void*>(allocations_.begin()->first));
}

void* GlobalMemory::allocate(std::size_t bytes, bool constant) {
  if (bytes > limit_ - used_) return nullptr;
  void* block = ::operator new (bytes + 2 * kGuard, std::align_val_t{kGuard}, std::nothrow);
  if (block == nullptr) return nullptr;
  std::memset(block, 0xFF, bytes + 2 * kGuard);
  void* start = static_cast<std::byte*>(block) + kGuard;
  allocations_[number(start)] = {number(start), number(start) + bytes, constant};
  used_ += bytes;
  return start;
}

bool GlobalMemory::free(void* start) {
  const auto found = allocations_.find(number(start));
  if (found == allocations_.end()) return false;
  used_ -= found->second.end - found->second.begin;
  std::free(found->second.written);
  allocations_.erase(found);
  recent_ = {};
  ::operator delete (static_cast<std::byte*>(start) - kGuard, std::align_val_t{kGuard});
  return true;
}

Allocation* GlobalMemory::look_up(std::uintptr_t number) {
  auto next = allocations_.upper_bound(number);
  if (next == allocations_.begin()) return nullptr;
  Allocation* candidate = &std::prev(next)->second;
  if (number >= candidate->end) return nullptr;
  recent_[turn_++ % recent_.size()] = candidate;
  return candidate;
}

std::string GlobalMemory::describe(const void* address) const {
  auto next = allocations_.upper_bound(number(address));
  if (next == allocations_.begin()) return "below all device memory";
  const Allocation& before = std::prev(next)->second;
  if (number(address) < before.end) {
    return fmt::format("{} bytes before the end of an allocation of {}",
                       before.end - number(address), before.end - before.begin);
  }
  return fmt::format("{} bytes past the end of an allocation of {}", number(address) - before.end,
                     before.end - before.begin);
}

const Accessor* GlobalMemory::note_write(Allocation& in, const void* address, std::size_t bytes,
                                         const Accessor& by) {
  if (in.written == nullptr) {
    const std::size_t cells = (in.end - in.begin + kGrain) / kGrain;
    in.written = static_cast<Allocation::Written*>(std::calloc(cells, sizeof(Allocation::Written)));
    if (in.written == nullptr) throw std::bad_alloc();
    in.pages.assign((in.end - in.begin) / kPage + 1, 0);
  }
  const Accessor* other = writer_of(in, address, bytes, by);
  if (other != nullptr) return other;
  const std::size_t offset = number(address) - in.begin;
  const std::size_t first = offset / kGrain;
  for (std::size_t i = 0; i * kGrain < bytes; ++i) in.written[first + i] = {launch_, by};
  in.pages[offset / kPage] = launch_;
  return nullptr;
}

const Accessor* GlobalMemory::search_writer(const Allocation& in, std::size_t offset,
                                            std::size_t bytes, const Accessor& by) const {
  const std::size_t first = offset / kGrain;
  for (std::size_t i = 0; i * kGrain < bytes; ++i) {
    const Allocation::Written& cell = in.written[first + i];
    if (cell.launch == launch_ && unordered(cell.by, by)) return &cell.by;
  }
  return nullptr;
}

}  // namespace bundle::kernels::cuda::emulator
