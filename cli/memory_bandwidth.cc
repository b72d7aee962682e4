#include "cli/memory_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace bundle::cli {
namespace {

constexpr std::size_t kBytesPerThread = 192u << 20;
constexpr std::size_t kWords = kBytesPerThread / sizeof(std::uint64_t);

/// Eight independent sums, so that the loads and not the additions set the pace.
std::uint64_t sum_words(const std::uint64_t* words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i < kWords; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double read_bandwidth_gb_s(int threads, int passes) {
  std::vector<std::unique_ptr<std::uint64_t[]>> buffers;
  for (int i = 0; i < threads; ++i) {
    buffers.push_back(std::make_unique<std::uint64_t[]>(kWords));
    std::fill_n(buffers.back().get(), kWords, static_cast<std::uint64_t>(i));
  }
  std::atomic<std::uint64_t> sink{0};
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> readers;
    for (const auto& buffer : buffers) {
      readers.emplace_back([&sink, words = buffer.get()] { sink += sum_words(words); });
    }
    for (std::thread& reader : readers) reader.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(kBytesPerThread) * threads / took.count() / 1e9);
  }
  return best;
}

}  // namespace bundle::cli
