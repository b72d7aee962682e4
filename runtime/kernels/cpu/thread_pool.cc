#include "runtime/kernels/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <immintrin.h>
#include <sched.h>

namespace bundle::kernels::cpu {
namespace {

// Longer than any gap inside a step, shorter than the pause between two requests.
constexpr auto kSpin = std::chrono::microseconds(100);
constexpr int kPausesPerClockRead = 32;
constexpr int kPausesBeforeYield = 2000;
constexpr std::uint64_t kShut = 0xFFFFFFFFu;

/// How many of the items left one thread takes: two thirds of its share, so that late pieces are
/// small and even out what the first ones left uneven.
std::int64_t piece(std::int64_t left, std::int64_t grain, int threads) {
  const std::int64_t take = std::max(grain, 2 * left / (3 * threads));
  return left - take < grain ? left : take;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_loop(std::int64_t items, std::int64_t grain, Call call, const void* context) {
  const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  const std::uint64_t first = static_cast<std::uint64_t>(round) << 32;
  // Shut while the fields change: a late worker of the last round must not take the new items.
  next_.store(first | kShut);
  items_.store(items, std::memory_order_release);
  grain_.store(grain, std::memory_order_release);
  call_.store(call, std::memory_order_release);
  context_.store(context, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  next_.store(first, std::memory_order_release);
  round_.store(round);
  round_.notify_all();
  take_items(round, 0);
  for (int spins = 0; done_.load(std::memory_order_acquire) != items; ++spins) {
    _mm_pause();
    // A worker may have lost its core: let the system run it.
    if (spins > kPausesBeforeYield) sched_yield();
  }
}

void ThreadPool::take_items(std::uint32_t round, int thread) {
  std::int64_t done = 0;
  std::uint64_t seen = next_.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(seen >> 32) == round) {
    const auto begin = static_cast<std::int64_t>(seen & 0xFFFFFFFFu);
    const std::int64_t left = items_.load(std::memory_order_acquire) - begin;
    if (left <= 0) break;
    const std::int64_t take = piece(left, grain_.load(std::memory_order_acquire), threads());
    const Call call = call_.load(std::memory_order_acquire);
    const void* context = context_.load(std::memory_order_acquire);
    if (!next_.compare_exchange_weak(seen, seen + static_cast<std::uint64_t>(take),
                                     std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    call(context, begin, begin + take, thread);
    done += take;
    seen = next_.load(std::memory_order_acquire);
  }
  if (done > 0) done_.fetch_add(done, std::memory_order_acq_rel);
}

/// Waits until the round is another than `round`, which it updates. False: the pool stops.
bool ThreadPool::wait_for_round(std::uint32_t& round) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  std::uint32_t now = round_.load(std::memory_order_acquire);
  while (now == round) {
    for (int i = 0; i < kPausesPerClockRead && now == round; ++i) {
      _mm_pause();
      now = round_.load(std::memory_order_acquire);
    }
    if (now == round && std::chrono::steady_clock::now() > deadline) {
      round_.wait(round);
      now = round_.load(std::memory_order_acquire);
    }
  }
  round = now;
  return !stop_.load();
}

void ThreadPool::work(int thread) {
  std::uint32_t round = 0;
  while (wait_for_round(round)) take_items(round, thread);
}

}  // namespace bundle::kernels::cpu
