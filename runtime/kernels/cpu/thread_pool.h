// Workers that live as long as the device and share out the items of one loop at a time.
//
// A step of a small model runs hundreds of loops of some ten microseconds, so entering and leaving
// one must cost well under a microsecond: workers spin for the next loop, and sleep on a futex only
// after kSpinMicroseconds without one. The caller works too. A worker that sleeps (or that the
// system runs late) is not waited for: whoever is awake does the items, and a loop that is over
// cannot be entered.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace bundle::kernels::cpu {

/// Not thread-safe: one caller.
class ThreadPool {
 public:
  /// `threads` counts the caller: threads - 1 workers are started.
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end, thread) over [0, items) in disjoint pieces of at least `grain` items,
  /// large ones first; `thread` is below threads(). Returns when all items are done.
  template <typename Body>
  void run(std::int64_t items, std::int64_t grain, const Body& body) {
    if (items <= 0) return;
    if (items <= grain || workers_.empty()) return body(std::int64_t{0}, items, 0);
    run_loop(
        items, grain,
        [](const void* context, std::int64_t begin, std::int64_t end, int thread) {
          (*static_cast<const Body*>(context))(begin, end, thread);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* context, std::int64_t begin, std::int64_t end, int thread);

  void run_loop(std::int64_t items, std::int64_t grain, Call call, const void* context);
  void work(int thread);
  void take_items(std::uint32_t round, int thread);
  bool wait_for_round(std::uint32_t& round);

  // The round in the upper half, the first item not yet taken in the lower. A successful exchange
  // proves that the round is still on, and with it that the fields below belong to it.
  alignas(64) std::atomic<std::uint64_t> next_{0};
  std::atomic<std::int64_t> items_{0};
  std::atomic<std::int64_t> grain_{1};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  alignas(64) std::atomic<std::int64_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> round_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace bundle::kernels::cpu
