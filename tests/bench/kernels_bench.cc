// How fast the CPU kernels are, beside what this machine can do at this moment.
//
//   kernels_bench [threads] [isa]
//
// Every figure is of a product whose answer was checked first. "decode" multiplies one token with
// a matrix far larger than the caches: its limit is the memory, read by the same threads in the
// same run. "prefill" multiplies 512 tokens with a matrix of a small model: its limit is
// arithmetic.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/kernels/cpu/cpu_features.h"
#include "runtime/kernels/cpu_device.h"
#include "tests/bench/machine_speed.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

using bench::best_time;
using bench::memory_bandwidth;

/// Largest error of y against double, relative to Σ|w·x|.
double worst_error(const RandomWeights& w, const std::vector<float>& x,
                   const std::vector<float>& y) {
  double worst = 0;
  for (std::int64_t r = 0; r < w.rows; r += 1 + w.rows / 61) {
    const std::vector<float> row = w.row(r);
    double expected = 0;
    double size = 1e-30;
    for (std::size_t c = 0; c < row.size(); ++c) {
      expected += static_cast<double>(row[c]) * x[c];
      size += std::abs(static_cast<double>(row[c]) * x[c]);
    }
    worst = std::max(worst, std::abs(y[static_cast<std::size_t>(r)] - expected) / size);
  }
  return worst;
}

struct Product {
  RandomWeights weights;
  std::unique_ptr<Matrix> matrix;
  std::int64_t tokens;
  std::vector<float> x;
  std::vector<float> y;
};

Product make_product(Device& device, DType type, std::int64_t rows, std::int64_t cols,
                     std::int64_t tokens) {
  Product p{random_weights(type, rows, cols, 1), nullptr, tokens, random_floats(tokens * cols, 2),
            std::vector<float>(static_cast<std::size_t>(tokens * rows))};
  const WeightView view = p.weights.view();
  p.matrix = std::move(device.pack({&view, 1})).value();
  return p;
}

double time_product(Device& device, Product& p) {
  const auto run = [&] {
    device.matmul(*p.matrix, {p.x.data(), p.tokens, p.weights.cols}, nullptr, false,
                  {p.y.data(), p.tokens, p.weights.rows});
  };
  run();
  const double error = worst_error(p.weights, p.x, p.y);
  if (error > 2e-3) {
    std::printf("wrong answer: relative error %g\n", error);
    std::exit(1);
  }
  return best_time(run);
}

void bench_type(Device& device, DType type, double bandwidth) {
  Product decode = make_product(device, type, 49152, 1024, 1);
  const double decode_time = time_product(device, decode);
  const auto bytes = static_cast<double>(decode.weights.bytes.size());
  std::printf("%-7s decode %6.1f GB/s (%3.0f %%)", dtype_info(type).name.data(),
              bytes / decode_time / 1e9, 100 * bytes / decode_time / bandwidth);
  for (const std::int64_t tokens : {8, 512}) {
    Product p = make_product(device, type, 1536, 1536, tokens);
    const double time = time_product(device, p);
    const double operations = 2.0 * 1536 * 1536 * static_cast<double>(tokens);
    std::printf("   %3ld tokens %6.1f GOP/s", static_cast<long>(tokens), operations / time / 1e9);
  }
  std::printf("\n");
}

int run(int threads, const std::string& isa) {
  auto device = make_cpu_device({threads, isa});
  if (!device) {
    std::printf("%s\n", device.error().message().c_str());
    return 1;
  }
  const double bandwidth = memory_bandwidth(threads);
  std::printf("%s, %d threads, memory %.1f GB/s\n", std::string((*device)->name()).c_str(), threads,
              bandwidth / 1e9);
  for (const DType type : kWeightTypes) bench_type(**device, type, bandwidth);
  return 0;
}

}  // namespace
}  // namespace bundle::kernels

int main(int argc, char** argv) {
  const int threads =
      argc > 1 ? std::max(1, std::atoi(argv[1])) : bundle::kernels::cpu::usable_cores();
  return bundle::kernels::run(threads, argc > 2 ? argv[2] : "");
}
