// Memory for weights and caches, on huge pages where the system gives them: reading weights from
// 4 KiB pages costs a third of the bandwidth under virtualisation.
#pragma once

#include <cstddef>
#include <memory>

namespace bundle::kernels::cpu {

/// Owns one anonymous map, zeroed, aligned to 2 MiB. Pages take memory only once they are touched.
class HugeMemory {
 public:
  /// Null data() when the system refuses.
  explicit HugeMemory(std::size_t bytes);
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  ~HugeMemory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* base_ = nullptr;
  std::size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Cuts pieces for matrices, which keep alive the memory they lie in, off large maps: so small
/// matrices share huge pages. Not thread-safe.
class HugeAllocator {
 public:
  struct Piece {
    std::byte* data = nullptr;  // 64-byte aligned; null when the system refuses
    std::shared_ptr<HugeMemory> memory;
  };

  Piece take(std::size_t bytes);

 private:
  std::shared_ptr<HugeMemory> current_;
  std::size_t used_ = 0;
};

}  // namespace bundle::kernels::cpu
