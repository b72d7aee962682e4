#include "tests/bench/machine_speed.h"

#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

#include "runtime/kernels/cpu/huge_memory.h"
#include "runtime/kernels/cpu/thread_pool.h"

namespace bundle::bench {

double memory_bandwidth(int threads) {
  const std::size_t bytes = std::size_t{128} << 20;
  const kernels::cpu::HugeMemory memory(bytes);
  auto* words = reinterpret_cast<std::uint64_t*>(memory.data());
  const auto count = static_cast<std::int64_t>(bytes / 8);
  std::iota(words, words + count, 0);
  kernels::cpu::ThreadPool pool(threads);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads));
  const double time = best_time([&] {
    pool.run(count, 1 << 18, [&](std::int64_t begin, std::int64_t end, int thread) {
      std::uint64_t lanes[32] = {};
      for (std::int64_t i = begin; i < end; i += 32)
        for (int k = 0; k < 32; ++k) lanes[k] += words[i + k];
      sums[static_cast<std::size_t>(thread)] +=
          std::accumulate(lanes, lanes + 32, std::uint64_t{0});
    });
  });
  if (std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == 1) std::printf(" ");
  return static_cast<double>(bytes) / time;
}

}  // namespace bundle::bench
