#include "tests/gpu/bench.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "runtime/kernels/cuda/host/wide_shape.h"

namespace bundle::kernels::cuda {
namespace {

constexpr std::size_t kPatternBytes = std::size_t{32} << 20;
constexpr std::size_t kSmallPattern = std::size_t{1} << 20;

/// Pairs of bytes that are numbers below 1/16 as bfloat16, and small as half and e4m3 too.
std::vector<std::uint16_t> pattern(std::size_t bytes) {
  std::mt19937 random(7);
  std::vector<std::uint16_t> words(bytes / 2);
  for (std::uint16_t& word : words) {
    const auto bits = static_cast<std::uint16_t>(random());
    word = static_cast<std::uint16_t>((bits & 0x80FFu) | 0x3C00u);
  }
  return words;
}

}  // namespace

double median_microseconds(const Subject& subject, int runs, const std::function<void()>& work) {
  Driver& driver = subject.driver;
  const Event begin = driver.make_event();
  const Event end = driver.make_event();
  std::vector<double> times;
  for (int run = -3; run < runs; ++run) {
    driver.record(begin, subject.stream);
    work();
    driver.record(end, subject.stream);
    driver.wait_event(end);
    if (run >= 0) times.push_back(1e3 * driver.milliseconds(begin, end));
  }
  driver.free_event(begin);
  driver.free_event(end);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

Pool::Pool(const Subject& subject) : subject_(subject) {
  const std::size_t bytes = subject.large ? kPatternBytes : kSmallPattern;
  const std::vector<std::uint16_t> words = pattern(bytes);
  pattern_ = subject.driver.allocate(bytes, MemoryKind::kWork);
  exhausted_ = pattern_ == nullptr;
  if (exhausted_) return;
  memory_.push_back(pattern_);
  subject.driver.copy_in(subject.stream, pattern_, words.data(), bytes);
  subject.driver.wait(subject.stream);
}

Pool::~Pool() {
  subject_.driver.wait(subject_.stream);
  for (void* memory : memory_) subject_.driver.free(memory);
}

void* Pool::take(std::size_t bytes, MemoryKind kind) {
  void* data =
      exhausted_ ? nullptr : subject_.driver.allocate(std::max<std::size_t>(bytes, 256), kind);
  if (data == nullptr) {
    exhausted_ = true;
    return nullptr;
  }
  memory_.push_back(data);
  const std::size_t step = subject_.large ? kPatternBytes : kSmallPattern;
  for (std::size_t at = 0; at < bytes; at += step) {
    subject_.driver.copy_within(subject_.stream, static_cast<std::byte*>(data) + at, pattern_,
                                std::min(step, bytes - at));
  }
  return data;
}

void multiply_wide(const Subject& subject, const MatmulArgs& args, std::uint16_t* planes,
                   float* partial) {
  const std::int64_t width = (args.w.cols + kWideColumns - 1) / kWideColumns * kWideColumns;
  static const int multiprocessors = subject.driver.facts().multiprocessors;  // asking takes time
  const WideShape shape = choose_wide(args, 1, multiprocessors);
  subject.ops.cut_rows(subject.stream, {args.x, args.w.cols, planes, args.tokens, args.w.cols,
                                        width, 1, args.w.kind != WeightKind::kBF16});
  subject.ops.matmul_wide(subject.stream,
                          {args, planes, args.tokens, width, 1, shape.tile, shape.splits, partial});
}

Timing bench_copy(const Subject& subject) {
  Pool pool(subject);
  const std::size_t bytes = subject.large ? std::size_t{4} << 30 : std::size_t{1} << 20;
  Timing timing{"copy of device memory", 0, 2.0 * static_cast<double>(bytes), 0, 0, ""};
  void* from = pool.take(bytes);
  void* to = pool.take(bytes);
  if (pool.exhausted()) {
    timing.problem = "not enough memory";
    return timing;
  }
  timing.microseconds = median_microseconds(subject, subject.large ? 20 : 3, [&] {
    subject.driver.copy_within(subject.stream, to, from, bytes);
  });
  return timing;
}

}  // namespace bundle::kernels::cuda
