#include "runtime/kernels/cpu/thread_pool.h"

#include <chrono>
#include <gtest/gtest.h>
#include <numeric>
#include <sys/resource.h>
#include <thread>

namespace bundle::kernels::cpu {
namespace {

TEST(ThreadPool, RunsEveryItemOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const std::int64_t items : {0, 1, 2, 7, 100, 1000}) {
      for (const std::int64_t grain : {1, 3, 64}) {
        std::vector<int> seen(static_cast<std::size_t>(items));
        pool.run(items, grain, [&](std::int64_t begin, std::int64_t end, int thread) {
          ASSERT_LT(thread, threads);
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        for (const int count : seen) ASSERT_EQ(count, 1);
      }
    }
  }
}

TEST(ThreadPool, ManyShortLoopsOfDifferentLength) {
  ThreadPool pool(4);
  std::vector<std::int64_t> values(97);
  for (int round = 0; round < 20000; ++round) {
    const std::int64_t items = 1 + round % 97;
    pool.run(items, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) ++values[static_cast<std::size_t>(i)];
    });
  }
  std::int64_t expected = 0;
  for (int round = 0; round < 20000; ++round) expected += 1 + round % 97;
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), std::int64_t{0}), expected);
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    int done = 0;
    std::atomic<int> total = 0;
    pool.run(64, 1, [&](std::int64_t begin, std::int64_t end, int) {
      total += static_cast<int>(end - begin);
    });
    done = total;
    EXPECT_EQ(done, 64);
  }
}

double cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

TEST(ThreadPool, IdleWorkersUseNoCpu) {
  ThreadPool pool(4);
  pool.run(64, 1, [](std::int64_t, std::int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(cpu_seconds() - before, 0.05);
}

}  // namespace
}  // namespace bundle::kernels::cpu
