// Rotation, cache and attention of every instruction set against sums in double, and their
// independence of how a sequence is cut into steps.
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

#include "runtime/kernels/cpu_device.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

struct Problem {
  AttentionShape shape;
  std::int64_t block_tokens = 16;
  DType type = DType::kF32;
  std::int64_t rotary_dim = 0;
  bool interleaved = false;
  bool norms = false;

  std::int64_t cols() const { return (shape.heads + 2 * shape.kv_heads) * shape.head_dim; }
  std::int64_t out_cols() const { return shape.heads * shape.head_dim; }
};

Problem problem(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  Problem p;
  p.shape = {heads, kv_heads, head_dim, 1.0f / std::sqrt(static_cast<float>(head_dim)), 0};
  p.rotary_dim = head_dim;
  return p;
}

std::vector<float> frequencies(std::int64_t rotary_dim) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rotary_dim / 2; ++i)
    values.push_back(static_cast<float>(
        std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim))));
  return values;
}

constexpr float kEps = 1e-5f;
constexpr std::int64_t kLayers = 2;

/// One sequence's part of a step.
struct Span {
  std::int64_t position;
  std::int64_t rows;
};

/// A device with a cache of a few sequences, whose blocks lie in a shuffled order.
class Machine {
 public:
  Machine(const Problem& p, const std::string& isa, int threads, std::int64_t positions,
          std::int64_t sequences = 1)
      : problem_(p),
        device_(std::move(make_cpu_device({threads, isa})).value()),
        inv_freq_(frequencies(p.rotary_dim)),
        q_norm_(random_floats(p.shape.head_dim, 90)),
        k_norm_(random_floats(p.shape.head_dim, 91)) {
    blocks_each_ = (positions + p.block_tokens - 1) / p.block_tokens;
    const std::int64_t blocks = blocks_each_ * sequences + 3;
    cache_ = std::move(
                 device_->make_kv_cache(
                     {kLayers, p.shape.kv_heads, p.shape.head_dim, p.block_tokens, p.type}, blocks))
                 .value();
    table_.resize(static_cast<std::size_t>(blocks));
    std::iota(table_.begin(), table_.end(), 0);
    std::shuffle(table_.begin(), table_.end(), std::mt19937(1));
  }

  /// One step of the sequences; qkv is (rows of all runs, cols), in order of the sequences.
  std::vector<float> step(std::span<const Span> runs, std::vector<float> qkv) {
    std::vector<Slice> slices;
    std::int64_t rows = 0;
    for (std::size_t s = 0; s < runs.size(); ++s) {
      const auto* blocks = table_.data() + static_cast<std::int64_t>(s) * blocks_each_;
      slices.push_back({rows, runs[s].rows, runs[s].position, blocks});
      rows += runs[s].rows;
    }
    const Problem& p = problem_;
    const Tensor in{qkv.data(), rows, p.cols()};
    std::vector<float> out(static_cast<std::size_t>(rows * p.out_cols()));
    const RopeTable rope{inv_freq_.data(), p.rotary_dim, 1.0f, p.interleaved};
    const Vector q{p.norms ? q_norm_.data() : nullptr, p.shape.head_dim};
    const Vector k{p.norms ? k_norm_.data() : nullptr, p.shape.head_dim};
    device_->rope_and_store(in, p.shape, rope, q, k, kEps, slices, *cache_, 1);
    device_->attention(in, p.shape, slices, *cache_, 1, {out.data(), rows, p.out_cols()});
    return out;
  }

  std::span<const float> inv_freq() const { return inv_freq_; }
  const float* q_norm() const { return problem_.norms ? q_norm_.data() : nullptr; }
  const float* k_norm() const { return problem_.norms ? k_norm_.data() : nullptr; }

 private:
  const Problem& problem_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<KvCache> cache_;
  std::vector<float> inv_freq_;
  std::vector<float> q_norm_;
  std::vector<float> k_norm_;
  std::vector<std::int32_t> table_;
  std::int64_t blocks_each_ = 0;
};

/// The same in double, for one sequence from position 0 on.
class Oracle {
 public:
  Oracle(const Problem& p, const Machine& machine, std::span<const float> qkv)
      : p_(p), machine_(machine), rows_(qkv.begin(), qkv.end()) {
    const std::int64_t heads = p.shape.heads + p.shape.kv_heads;
    for (std::int64_t t = 0; t < rows(); ++t)
      for (std::int64_t h = 0; h < heads; ++h)
        turn(head(t, h), t, h < p.shape.heads ? machine.q_norm() : machine.k_norm());
  }

  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.size()) / p_.cols(); }

  std::vector<double> attend(std::int64_t t, std::int64_t h) {
    const std::int64_t kv = p_.shape.heads + h / (p_.shape.heads / p_.shape.kv_heads);
    const std::int64_t from = p_.shape.sliding_window > 0
                                  ? std::max<std::int64_t>(0, t - p_.shape.sliding_window + 1)
                                  : 0;
    std::vector<double> out(static_cast<std::size_t>(p_.shape.head_dim));
    double total = 0;
    for (std::int64_t s = from; s <= t; ++s) {
      double score = 0;
      for (std::int64_t d = 0; d < p_.shape.head_dim; ++d) score += head(t, h)[d] * head(s, kv)[d];
      const double weight = std::exp(score * p_.shape.scale);
      total += weight;
      for (std::int64_t d = 0; d < p_.shape.head_dim; ++d)
        out[static_cast<std::size_t>(d)] += weight * head(s, kv + p_.shape.kv_heads)[d];
    }
    for (double& value : out) value /= total;
    return out;
  }

 private:
  double* head(std::int64_t t, std::int64_t h) {
    return rows_.data() + t * p_.cols() + h * p_.shape.head_dim;
  }

  void turn(double* head, std::int64_t position, const float* norm) const {
    const std::int64_t n = p_.shape.head_dim;
    if (norm != nullptr) {
      double squares = 0;
      for (std::int64_t d = 0; d < n; ++d) squares += head[d] * head[d];
      for (std::int64_t d = 0; d < n; ++d)
        head[d] *= norm[d] / std::sqrt(squares / static_cast<double>(n) + kEps);
    }
    const std::int64_t half = p_.rotary_dim / 2;
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<float>(position) * machine_.inv_freq()[static_cast<std::size_t>(i)];
      double& a = head[p_.interleaved ? 2 * i : i];
      double& b = head[p_.interleaved ? 2 * i + 1 : i + half];
      const double x = a;
      a = x * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + x * std::sin(angle);
    }
  }

  const Problem& p_;
  const Machine& machine_;
  std::vector<double> rows_;
};

/// Largest error of an output of size about 1: rounding of keys and values to the cache's type
/// (2^-12, 2^-9 and 2^-5 relative, or up to a 127th of a group's largest in two), through the
/// scores and directly.
double tolerance(DType type) {
  if (type == DType::kF32) return 1e-5;
  if (type == DType::kF8E4M3) return 0.25;
  return type == DType::kF16 ? 4e-3 : 4e-2;
}

class Attention : public testing::TestWithParam<std::string> {
 protected:
  void check(const Problem& p, std::int64_t positions) {
    SCOPED_TRACE(testing::Message() << p.shape.heads << "/" << p.shape.kv_heads << " heads of "
                                    << p.shape.head_dim << ", blocks of " << p.block_tokens << ", "
                                    << dtype_info(p.type).name << ", " << positions);
    Machine machine(p, GetParam(), 2, positions);
    const std::vector<float> qkv = random_floats(positions * p.cols(), 77);
    const Span run{0, positions};
    const std::vector<float> out = machine.step({&run, 1}, qkv);
    Oracle oracle(p, machine, qkv);
    for (std::int64_t t = 0; t < positions; t += t < 20 || t > positions - 4 ? 1 : 13)
      for (std::int64_t h = 0; h < p.shape.heads; ++h) {
        const std::vector<double> expected = oracle.attend(t, h);
        const float* got = out.data() + t * p.out_cols() + h * p.shape.head_dim;
        for (std::size_t d = 0; d < expected.size(); ++d)
          ASSERT_NEAR(got[d], expected[d], tolerance(p.type)) << t << " " << h << " " << d;
      }
  }
};

TEST_P(Attention, OfManyHeadSizesAndGroups) {
  for (const std::int64_t head_dim : {8, 24, 64, 72, 80, 96, 112, 128, 256})
    check(problem(4, 2, head_dim), 40);
  check(problem(9, 3, 64), 70);
  check(problem(1, 1, 64), 33);
  check(problem(14, 2, 64), 20);
  check(problem(71, 1, 64), 5);
}

TEST_P(Attention, OverManyChunks) { check(problem(6, 2, 64), 777); }

TEST_P(Attention, OfEveryCacheType) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kI8}) {
    Problem p = problem(6, 3, 64);
    p.type = type;
    check(p, 300);
  }
}

TEST_P(Attention, OfBytesWithHeadsThatEndWithinAGroupOfScales) {
  for (const std::int64_t head_dim : {8, 24, 40, 72, 80, 96, 128}) {
    Problem p = problem(4, 2, head_dim);
    p.type = DType::kI8;
    check(p, 70);
  }
}

TEST_P(Attention, OfOddBlockSizes) {
  for (const DType type : {DType::kF16, DType::kI8}) {
    for (const std::int64_t block_tokens : {1, 4, 24, 32, 256}) {
      Problem p = problem(4, 2, 40);
      p.block_tokens = block_tokens;
      p.type = type;
      check(p, 290);
    }
  }
}

TEST_P(Attention, InASlidingWindow) {
  for (const std::int64_t window : {1, 5, 64, 300}) {
    Problem p = problem(4, 1, 64);
    p.shape.sliding_window = window;
    check(p, 600);
  }
}

TEST_P(Attention, WithNormsInterleavedAndPartlyRotated) {
  Problem p = problem(4, 2, 64);
  p.norms = true;
  check(p, 50);
  p.interleaved = true;
  check(p, 50);
  p.rotary_dim = 24;
  check(p, 50);
  p.interleaved = false;
  check(p, 50);
}

/// Runs two sequences to `positions` in steps of the given sizes; rows of sequence 0, then of 1.
std::vector<float> run_in_steps(const Problem& p, const std::string& isa, int threads,
                                std::int64_t positions, std::span<const std::int64_t> sizes,
                                const std::vector<float>& qkv) {
  Machine machine(p, isa, threads, positions, 2);
  std::vector<float> out(static_cast<std::size_t>(2 * positions * p.out_cols()));
  std::int64_t at = 0;
  for (std::size_t i = 0; at < positions; ++i) {
    const std::int64_t rows = std::min(sizes[i % sizes.size()], positions - at);
    std::vector<float> in;
    for (std::int64_t s = 0; s < 2; ++s) {
      const auto first = qkv.begin() + (s * positions + at) * p.cols();
      in.insert(in.end(), first, first + rows * p.cols());
    }
    const Span runs[] = {{at, rows}, {at, rows}};
    const std::vector<float> part = machine.step(runs, in);
    for (std::int64_t s = 0; s < 2; ++s)
      std::copy_n(part.begin() + s * rows * p.out_cols(), rows * p.out_cols(),
                  out.begin() + (s * positions + at) * p.out_cols());
    at += rows;
  }
  return out;
}

TEST_P(Attention, DoesNotDependOnHowASequenceIsCut) {
  for (const auto& [window, type] : {std::pair<std::int64_t, DType>(0, DType::kF16),
                                     {100, DType::kF16},
                                     {0, DType::kI8},
                                     {100, DType::kI8}}) {
    Problem p = problem(6, 2, 64);
    p.type = type;
    p.shape.sliding_window = window;
    constexpr std::int64_t kPositions = 600;
    const std::vector<float> qkv = random_floats(2 * kPositions * p.cols(), 5);
    const std::int64_t one[] = {1};
    const std::vector<float> expected = run_in_steps(p, GetParam(), 1, kPositions, one, qkv);
    const std::vector<std::vector<std::int64_t>> cuts = {
        {kPositions}, {1}, {7}, {256, 1}, {100, 33, 1, 2}};
    for (const auto& cut : cuts)
      for (const int threads : {1, 2, 3})
        ASSERT_EQ(run_in_steps(p, GetParam(), threads, kPositions, cut, qkv), expected)
            << threads << " threads, first step of " << cut[0];
  }
}

TEST_P(Attention, LargeKeysAndValuesStayFinite) {
  for (const DType type : {DType::kF16, DType::kF8E4M3, DType::kI8}) {
    Problem p = problem(2, 1, 64);
    p.type = type;
    Machine machine(p, GetParam(), 1, 8);
    std::vector<float> qkv(static_cast<std::size_t>(8 * p.cols()), 1e6f);
    const Span run{0, 8};
    for (const float value : machine.step({&run, 1}, qkv)) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST_P(Attention, ABrokenRowLeavesNothingInBytesThatOthersSee) {
  Problem p = problem(2, 1, 64);
  p.type = DType::kI8;
  Machine machine(p, GetParam(), 1, 32);
  std::vector<float> broken(static_cast<std::size_t>(20 * p.cols()),
                            std::numeric_limits<float>::quiet_NaN());
  const Span all{0, 20};
  machine.step({&all, 1}, broken);
  const Span first{0, 3};
  for (const float value : machine.step({&first, 1}, random_floats(3 * p.cols(), 4)))
    EXPECT_TRUE(std::isfinite(value));
}

TEST_P(Attention, CacheRefusesOtherTypesAndSizes) {
  const auto device = std::move(make_cpu_device({1, GetParam()})).value();
  EXPECT_EQ(device->make_kv_cache({1, 1, 64, 16, DType::kQ8_0}, 4).error().code,
            ErrorCode::kBadInput);
  EXPECT_EQ(device->make_kv_cache({1, 0, 64, 16, DType::kF16}, 4).error().code,
            ErrorCode::kBadInput);
  EXPECT_EQ(
      device->make_kv_cache({1 << 20, 1 << 20, 1 << 10, 16, DType::kF16}, std::int64_t{1} << 40)
          .error()
          .code,
      ErrorCode::kBadInput);
}

INSTANTIATE_TEST_SUITE_P(Isas, Attention, testing::ValuesIn(available_isas()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::kernels
