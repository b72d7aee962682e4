#include "runtime/kernels/cpu/huge_memory.h"

#include <algorithm>
#include <cstdint>
#include <sys/mman.h>

namespace bundle::kernels::cpu {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Address space, not memory: what is not touched costs nothing.
constexpr std::size_t kMapBytes = std::size_t{256} << 20;
constexpr std::size_t kAlignment = 64;

std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

HugeMemory::HugeMemory(std::size_t bytes) {
  const std::size_t size = round_up(std::max<std::size_t>(bytes, 1), kHugePage);
  if (size < bytes) return;
  mapped_ = size + kHugePage;
  void* base = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return;
  base_ = base;
  size_ = size;
  const std::size_t skip =
      (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
  data_ = static_cast<std::byte*>(base) + skip;
  // Only advice: without huge pages everything works, slower.
  (void)madvise(data_, size_, MADV_HUGEPAGE);
}

HugeMemory::~HugeMemory() {
  if (base_ != nullptr) munmap(base_, mapped_);
}

HugeAllocator::Piece HugeAllocator::take(std::size_t bytes) {
  const std::size_t size = round_up(bytes, kAlignment);
  if (size < bytes) return {};
  if (current_ == nullptr || size > current_->size() - used_) {
    auto memory = std::make_shared<HugeMemory>(std::max(size, kMapBytes));
    if (memory->data() == nullptr) return {};
    current_ = std::move(memory);
    used_ = 0;
  }
  Piece piece{current_->data() + used_, current_};
  used_ += size;
  return piece;
}

}  // namespace bundle::kernels::cpu
