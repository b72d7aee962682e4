#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {
namespace {

CheckResult check_rms_norm(const Subject& subject, std::int64_t rows, std::int64_t cols,
                           float scale) {
  std::mt19937 random(subject.seed);
  const std::vector<float> x = random_values(static_cast<std::size_t>(rows * cols), random, scale);
  const std::vector<float> w = random_values(static_cast<std::size_t>(cols), random);
  const DeviceArray<float> in(subject, x);
  const DeviceArray<float> weight(subject, w, MemoryKind::kWeights);
  constexpr float kEps = 1e-6f;
  subject.ops.rms_norm(subject.stream, {in.get(), weight.get(), in.get(), rows, cols, kEps});
  std::vector<double> expected;
  for (std::int64_t r = 0; r < rows; ++r) {
    double squares = 0.0;
    const auto row = x.begin() + r * cols;
    for (std::int64_t c = 0; c < cols; ++c) squares += static_cast<double>(row[c]) * row[c];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(cols) + kEps);
    for (std::int64_t c = 0; c < cols; ++c) {
      expected.push_back(row[c] * factor * w[static_cast<std::size_t>(c)]);
    }
  }
  return result_of(subject,
                   "rms_norm in place " + std::to_string(rows) + "x" + std::to_string(cols),
                   largest_error(in.read(), expected), 3e-6);
}

CheckResult check_silu_mul(const Subject& subject, std::int64_t rows, std::int64_t cols,
                           float scale) {
  std::mt19937 random(subject.seed + 1);
  const std::vector<float> both =
      random_values(static_cast<std::size_t>(rows * 2 * cols), random, scale);
  const DeviceArray<float> in(subject, both);
  const DeviceArray<float> out(subject, unwritten(static_cast<std::size_t>(rows * cols)));
  subject.ops.silu_mul(subject.stream, {in.get(), out.get(), rows, cols});
  std::vector<double> expected;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      const double gate = both[static_cast<std::size_t>(2 * r * cols + c)];
      const double up = both[static_cast<std::size_t>((2 * r + 1) * cols + c)];
      expected.push_back(gate / (1.0 + std::exp(-gate)) * up);
    }
  }
  return result_of(subject, "silu_mul " + std::to_string(rows) + "x" + std::to_string(cols),
                   largest_error(out.read(), expected), 3e-6);
}

CheckResult check_gather(const Subject& subject) {
  std::mt19937 random(subject.seed + 2);
  const std::vector<float> x = random_values(10 * 33, random);
  const std::vector<std::int64_t> rows = {9, 0, 0, 5};
  const DeviceArray<float> in(subject, x);
  const DeviceArray<std::int64_t> from(subject, rows);
  const DeviceArray<float> out(subject, unwritten(rows.size() * 33));
  subject.ops.gather(subject.stream, {in.get(), from.get(), out.get(), 4, 33});
  std::vector<double> expected;
  for (const std::int64_t row : rows) {
    for (std::int64_t c = 0; c < 33; ++c)
      expected.push_back(x[static_cast<std::size_t>(row * 33 + c)]);
  }
  return result_of(subject, "gather", largest_error(out.read(), expected), 0.0);
}

/// Two norms beside each other, and some rows of the first blank.
CheckResult check_joined(const Subject& subject) {
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kCols = 70;
  std::mt19937 random(subject.seed + 3);
  const std::vector<float> ones(kCols, 1.0f);
  const std::vector<float> x = random_values(kRows * kCols, random);
  const DeviceArray<float> in(subject, x);
  const DeviceArray<float> weight(subject, ones, MemoryKind::kWeights);
  const DeviceArray<float> out(subject, unwritten(kRows * 2 * kCols));
  const DeviceArray<std::int64_t> which(subject, {0, 2});
  for (const std::int64_t at : {std::int64_t{0}, kCols}) {
    subject.ops.rms_norm(subject.stream,
                         {in.get(), weight.get(), out.get() + at, kRows, kCols, 1e-6f, 2 * kCols});
  }
  subject.ops.blank(subject.stream, {which.get(), out.get(), 2, kCols, 2 * kCols});
  std::vector<double> expected;
  for (std::int64_t r = 0; r < kRows; ++r) {
    double squares = 0.0;
    for (std::int64_t c = 0; c < kCols; ++c) squares += std::pow(x[r * kCols + c], 2.0);
    const double factor = 1.0 / std::sqrt(squares / kCols + 1e-6);
    for (const bool first : {true, false}) {
      for (std::int64_t c = 0; c < kCols; ++c) {
        expected.push_back(first && r != 1 ? 0.0 : x[r * kCols + c] * factor);
      }
    }
  }
  return result_of(subject, "norms beside each other", largest_error(out.read(), expected), 3e-6);
}

/// In the order of the parts, to the bit; into the first of them too.
CheckResult check_parts(const Subject& subject, int number, std::int64_t count, bool in_place) {
  std::mt19937 random(subject.seed + 4);
  const auto each = static_cast<std::size_t>(count);
  const std::vector<float> parts =
      random_values(static_cast<std::size_t>(number) * each, random, 3.0f);
  const DeviceArray<float> in(subject, parts);
  const DeviceArray<float> out(subject, unwritten(each));
  float* to = in_place ? in.get() : out.get();
  subject.ops.add_parts(subject.stream, {in.get(), to, count, number});
  std::vector<float> sums(parts.begin(), parts.begin() + count);
  for (std::size_t at = each; at < parts.size(); ++at) sums[at % each] += parts[at];
  const std::vector<float> got = in_place ? in.read() : out.read();
  return result_of(subject,
                   "parts added up " + std::to_string(number) + "x" + std::to_string(count),
                   differs(got.data(), sums.data(), each), 0.0);
}

}  // namespace

std::vector<CheckResult> check_rows(const Subject& subject) {
  std::vector<CheckResult> results;
  for (const std::int64_t cols : {1, 7, 64, 300, 5000}) {
    results.push_back(check_rms_norm(subject, 3, cols, 30.0f));
    results.push_back(check_silu_mul(subject, 3, cols, 20.0f));
  }
  results.push_back(check_silu_mul(subject, 1, 100, 1000.0f));  // exp overflows
  results.push_back(check_gather(subject));
  results.push_back(check_joined(subject));
  for (const std::int64_t count : {1, 8, 1023, 7168}) {
    results.push_back(check_parts(subject, 8, count, false));
    results.push_back(check_parts(subject, 2, count, true));
  }
  if (subject.large) {
    results.push_back(check_rms_norm(subject, 1000, 8192, 1.0f));
    results.push_back(check_silu_mul(subject, 300, 14336, 5.0f));
  }
  return results;
}

}  // namespace bundle::kernels::cuda
