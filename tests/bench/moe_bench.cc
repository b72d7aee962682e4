// Decode of one layer of experts as DeepSeek-R1 has them (hidden 7168, width 2048, 8 of them a
// token) against the bytes that it must read: those of the chosen experts alone.
//
//   moe_bench [threads] [experts]
//
// Each token takes the next eight of the experts, so that none is still in a cache. The answer is
// checked against the reference device first; the memory's bandwidth is measured before and after,
// by as many threads, and the better of the two is the limit.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "runtime/kernels/cpu/cpu_features.h"
#include "runtime/kernels/cpu_device.h"
#include "tests/bench/machine_speed.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

constexpr std::int64_t kHidden = 7168;
constexpr std::int64_t kWidth = 2048;
constexpr std::int64_t kTopK = 8;

/// One layer's published experts, all with the same bytes: only where they lie counts.
struct Layer {
  RandomWeights gate, up, down;
  std::vector<ExpertView> views;

  Layer(DType type, std::int64_t experts)
      : gate(random_weights(type, kWidth, kHidden, 1, 0.02f)),
        up(random_weights(type, kWidth, kHidden, 2, 0.02f)),
        down(random_weights(type, kHidden, kWidth, 3, 0.02f)),
        views(static_cast<std::size_t>(experts), {gate.view(), up.view(), down.view()}) {}

  double expert_bytes() const {
    return static_cast<double>(gate.bytes.size() + up.bytes.size() + down.bytes.size());
  }
};

/// Tokens of a step, each with the next experts in turn.
class Steps {
 public:
  Steps(Device& device, const Experts& experts, std::int64_t tokens)
      : device_(device),
        experts_(experts),
        tokens_(tokens),
        x_(random_floats(tokens * kHidden, 4)),
        y_(x_.size()),
        chosen_(static_cast<std::size_t>(tokens * kTopK)),
        weights_(chosen_.size(), 1.0f / kTopK) {}

  void step() {
    for (std::int32_t& expert : chosen_) {
      expert = static_cast<std::int32_t>(next_++ % static_cast<std::uint64_t>(experts_.count()));
    }
    std::fill(y_.begin(), y_.end(), 0.0f);
    device_.run_experts(experts_, {x_.data(), tokens_, kHidden},
                        {chosen_.data(), weights_.data(), tokens_, kTopK},
                        {y_.data(), tokens_, kHidden});
  }

  const std::vector<float>& answer() const { return y_; }

 private:
  Device& device_;
  const Experts& experts_;
  std::int64_t tokens_;
  std::vector<float> x_, y_;
  std::vector<std::int32_t> chosen_;
  std::vector<float> weights_;
  std::uint64_t next_ = 0;
};

void check(const std::vector<float>& got, const std::vector<float>& wanted) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(got[i]) - wanted[i]));
    size = std::max(size, std::abs(static_cast<double>(wanted[i])));
  }
  if (error <= 0.02 * size) return;
  std::printf("wrong answer: off by %g of %g\n", error, size);
  std::exit(1);
}

void bench_type(Device& device, DType type, int threads, std::int64_t experts) {
  const Layer layer(type, experts);
  const auto packed = std::move(device.pack_experts(layer.views)).value();
  const auto reference = make_reference_device();
  const auto plain = std::move(reference->pack_experts(layer.views)).value();
  Steps one(device, *packed, 1), exact(*reference, *plain, 1);
  one.step();
  exact.step();
  check(one.answer(), exact.answer());
  const double before = bench::memory_bandwidth(threads);
  const double time = bench::best_time([&] { one.step(); });
  const double bandwidth = std::max(before, bench::memory_bandwidth(threads));
  const double bytes = kTopK * layer.expert_bytes();
  std::printf("%-7s 1 token: %6.1f MB in %6.2f ms, %5.1f GB/s, %3.0f %% of the memory's %.1f\n",
              dtype_info(type).name.data(), bytes / 1e6, 1e3 * time, bytes / time / 1e9,
              100 * bytes / time / bandwidth, bandwidth / 1e9);
}

int run(int threads, std::int64_t experts) {
  const auto device = std::move(make_cpu_device({threads, ""})).value();
  std::printf("%s, %d threads, %ld experts of %ld x %ld\n", std::string(device->name()).c_str(),
              threads, static_cast<long>(experts), static_cast<long>(kHidden),
              static_cast<long>(kWidth));
  for (const DType type : {DType::kF8E4M3, DType::kBF16, DType::kQ8_0, DType::kQ4K}) {
    bench_type(*device, type, threads, experts);
  }
  return 0;
}

}  // namespace
}  // namespace bundle::kernels

int main(int argc, char** argv) {
  const int threads =
      argc > 1 ? std::max(1, std::atoi(argv[1])) : bundle::kernels::cpu::usable_cores();
  return bundle::kernels::run(threads, argc > 2 ? std::max(8, std::atoi(argv[2])) : 32);
}
