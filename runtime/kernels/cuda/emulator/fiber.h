// Coroutines with stacks of their own: the emulator runs each thread of a block on one, and
// switches where the thread meets the others. x86-64 Linux.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace bundle::kernels::cuda::emulator {

/// One stack that runs one function after another. Not thread-safe.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Makes `body`, which must outlive its run, what the next resume() starts. A body that had not
  /// ended is given up: its stack is reused, nothing is unwound.
  void start(const std::function<void()>& body);
  /// Runs the body until it ends or calls yield().
  void resume();
  /// From inside the body: back to the caller of resume().
  void yield();
  bool ended() const { return ended_; }

 private:
  static void enter(Fiber* self);
  void switch_in();
  void switch_out(bool last);

  std::byte* stack_;
  const std::function<void()>* body_ = nullptr;
  void* own_ = nullptr;     // stack pointer while the body waits
  void* caller_ = nullptr;  // stack pointer of resume() while the body runs
  bool ended_ = true;
  // AddressSanitizer's bookkeeping.
  [[maybe_unused]] void* own_fake_ = nullptr;
  [[maybe_unused]] void* caller_fake_ = nullptr;
  [[maybe_unused]] const void* caller_bottom_ = nullptr;
  [[maybe_unused]] std::size_t caller_size_ = 0;
};

}  // namespace bundle::kernels::cuda::emulator
