// Runs kernels block by block, a fiber a thread, in an order that a seed shuffles. Threads stop
// where they meet: at barriers of the block and at exchanges within a warp. What a GPU leaves
// undefined ends the launch with a message: threads that wait for each other at different places,
// shared memory read before it is written or without a barrier after another thread's write, memory
// outside of an allocation, misaligned accesses, two blocks that write one address, and work of the
// kernel before that is read without waiting for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <source_location>
#include <string>
#include <vector>

#include "runtime/kernels/cuda/emulator/fiber.h"
#include "runtime/kernels/cuda/emulator/global_memory.h"
#include "runtime/kernels/cuda/emulator/shared_memory.h"

namespace bundle::kernels::cuda::emulator {

struct Index3 {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

struct LaunchShape {
  Index3 grid;
  unsigned threads = 0;  // a multiple of 32
  std::size_t shared_bytes = 0;
  bool overlaps_previous = false;  // programmatic dependent launch
};

/// What one lane gives to the other 31.
struct alignas(16) Slot {
  std::array<std::byte, 64> bytes;

  std::byte* data() { return bytes.data(); }
  const std::byte* data() const { return bytes.data(); }
};
using Slots = std::array<Slot, kWarpSize>;

/// The emulated processor. Runs in one host thread; the running kernel finds it by machine().
class Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;

  GlobalMemory& memory() { return memory_; }
  /// Of the order in which blocks and threads run.
  void set_seed(std::uint32_t seed) {
    random_.seed(seed);
    orders_.clear();
  }

  /// Runs a kernel to its end. False when it did something undefined; error() says what then, and
  /// the machine refuses further launches, as a GPU's context does.
  bool launch(const char* name, const LaunchShape& shape, const std::function<void()>& thread);
  const std::string& error() const { return error_; }
  void clear_error() { error_.clear(); }
  std::uint64_t launches() const { return launches_; }

  // For the running thread.
  unsigned thread_index() const { return running_->accessor.thread; }
  Index3 block_index() const { return block_; }
  const LaunchShape& shape() const { return shape_; }
  void barrier(const std::source_location& where);
  void warp_barrier(const std::source_location& where);
  /// Gives 64 bytes or fewer, and returns what all lanes gave; valid until the next exchange.
  const Slots& exchange(const void* value, std::size_t bytes, const std::source_location& where);
  void wait_for_previous() { running_->waited = true; }
  void read_global(const void* address, std::size_t bytes, const std::source_location& where) {
    const Allocation& in = access_global(address, bytes, where);
    const Accessor* writer = memory_.writer_of(in, address, bytes, running_->accessor);
    if (writer != nullptr) fault_race("reads", *writer, where);
  }
  void write_global(void* address, std::size_t bytes, const std::source_location& where);
  std::byte* read_shared(std::size_t offset, std::size_t bytes, const std::source_location& where) {
    if (!shared_.read(offset, bytes, running_->accessor)) fault(shared_.problem(), where);
    return shared_.data() + offset;
  }
  std::byte* write_shared(std::size_t offset, std::size_t bytes,
                          const std::source_location& where) {
    if (!shared_.write(offset, bytes, running_->accessor)) fault(shared_.problem(), where);
    return shared_.data() + offset;
  }
  /// An asynchronous copy of 16 bytes: done when it is waited for, undefined until then.
  void copy_later(std::size_t offset, const void* from, const std::source_location& where);
  void commit_copies();
  /// Until no more than `pending` committed groups are under way.
  void wait_copies(int pending, const std::source_location& where);
  /// An asynchronous product: done when it is waited for, from what shared memory holds then.
  void product_later(std::function<void()> product);
  void commit_products();
  void wait_products(int pending);

 private:
  enum class State { kReady, kAtBarrier, kAtExchange, kEnded };
  struct Copy {
    std::size_t offset;
    const void* from;
  };
  struct Thread {
    Fiber fiber;
    Accessor accessor;
    State state = State::kEnded;
    std::source_location where;
    const char* what = "";
    bool waited = false;
    std::vector<std::vector<Copy>> copies;  // groups under way; the last is not yet committed
    std::vector<std::vector<std::function<void()>>> products;  // likewise
  };
  struct Warp {
    std::array<Slots, 2> slots;
    int current = 0;  // where the next exchange goes
  };
  using LaneOrder = std::array<std::uint8_t, kWarpSize>;

  [[noreturn]] void fault(std::string what, const std::source_location& where);
  [[noreturn]] void fault_access(const Allocation* in, const void* address, std::size_t bytes,
                                 const std::source_location& where);
  [[noreturn]] void fault_race(const char* what, const Accessor& writer,
                               const std::source_location& where);
  /// The allocation that an access may touch as a whole.
  Allocation& access_global(const void* address, std::size_t bytes,
                            const std::source_location& where) {
    Allocation* found = memory_.find(address);
    const auto start = reinterpret_cast<std::uintptr_t>(address);
    const bool allowed = found != nullptr && bytes <= found->end - start && start % bytes == 0 &&
                         (found->constant || !shape_.overlaps_previous || running_->waited);
    if (!allowed) fault_access(found, address, bytes, where);
    return *found;
  }
  void stop(State state, const char* what, const std::source_location& where);
  void make_orders();
  bool run_block(const std::function<void()>& thread);
  void run_warp(std::size_t warp);
  bool meet(std::size_t warp);
  bool settle_warp(std::size_t warp);
  bool release_barrier();
  bool diverged(const Thread& a, const Thread& b);
  std::string place(const std::source_location& where) const;

  GlobalMemory memory_;
  SharedMemory shared_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::mt19937 random_{1};
  std::vector<LaneOrder> orders_;  // of a warp's lanes, used in turn
  std::size_t next_order_ = 0;
  const char* name_ = "";
  LaunchShape shape_;
  Index3 block_;
  Thread* running_ = nullptr;
  std::string error_;
  std::uint64_t launches_ = 0;
};

/// The machine whose kernel runs in this host thread: asked at every access, so it is found by one
/// load, in a shared object too.
extern constinit thread_local Machine* active __attribute__((tls_model("initial-exec")));
inline Machine& machine() { return *active; }

}  // namespace bundle::kernels::cuda::emulator
