// Matrix products of every weight type and instruction set against sums in double.
//
// Two bounds. Against the exact product of the published weights and the float activations, the
// error is that of the activations' conversion: 15 bits with one scale for 32 columns (rounding
// error uniform within half a step), or bfloat16. Against the product with converted activations,
// only float32 rounding is left: 2e-6 of Σ|w·x|.
#include <cmath>
#include <gtest/gtest.h>

#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/half.h"
#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

constexpr double kFloatTolerance = 2e-6;
constexpr double kDeviations = 7;  // of a sum of independent rounding errors

std::unique_ptr<Device> make_device(const std::string& isa, int threads) {
  return std::move(make_cpu_device({threads, isa})).value();
}

Tensor tensor(std::vector<float>& values, std::int64_t cols) {
  return {values.data(), static_cast<std::int64_t>(values.size()) / cols, cols};
}

enum class Conversion { kInt15, kBf16, kNone };

Conversion conversion(DType type, const std::string& isa) {
  if (is_quantized(type) || type == DType::kI8) return Conversion::kInt15;
  return type == DType::kBF16 && isa == "avx512bf16" ? Conversion::kBf16 : Conversion::kNone;
}

/// x as the kernels see it, and the standard deviation of the error made for each column.
struct Converted {
  std::vector<float> values;
  std::vector<double> deviation;
};

Converted convert(std::span<const float> x, Conversion kind) {
  Converted out{{x.begin(), x.end()}, std::vector<double>(x.size())};
  if (kind == Conversion::kBf16) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      out.values[i] = bf16_to_float(float_to_bf16(x[i]));
      out.deviation[i] = std::abs(x[i]) * 0x1p-8 / std::sqrt(12.0);
    }
  }
  if (kind == Conversion::kInt15) {
    for (std::size_t at = 0; at < x.size(); at += 32) {
      float peak = 0;
      for (std::size_t i = at; i < at + 32; ++i) peak = std::max(peak, std::abs(x[i]));
      const float d = peak / 16256.0f;
      for (std::size_t i = at; i < at + 32; ++i) {
        out.values[i] = peak == 0 ? 0 : std::nearbyint(x[i] * (16256.0f / peak)) * d;
        out.deviation[i] = d / std::sqrt(12.0);
      }
    }
  }
  return out;
}

void expect_product(const RandomWeights& w, std::span<const float> x, std::span<const float> y,
                    Conversion kind) {
  const Converted converted = convert(x, kind);
  for (std::int64_t r = 0; r < w.rows; ++r) {
    const std::vector<float> row = w.row(r);
    double exact = 0;
    double near = 0;
    double size = 0;
    double variance = 0;
    for (std::size_t c = 0; c < row.size(); ++c) {
      exact += static_cast<double>(row[c]) * x[c];
      near += static_cast<double>(row[c]) * converted.values[c];
      size += std::abs(static_cast<double>(row[c]) * converted.values[c]);
      variance += std::pow(row[c] * converted.deviation[c], 2);
    }
    const float got = y[static_cast<std::size_t>(r)];
    ASSERT_NEAR(got, near, kFloatTolerance * size + 1e-30) << "row " << r;
    ASSERT_NEAR(got, exact, kDeviations * std::sqrt(variance) + kFloatTolerance * size + 1e-30)
        << "row " << r;
  }
}

struct Case {
  DType type;
  std::string isa;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& isa : available_isas())
    for (const DType type : kWeightTypes) cases.push_back({type, isa});
  return cases;
}

class Matmul : public testing::TestWithParam<Case> {
 protected:
  void check(std::int64_t rows, std::int64_t cols, std::int64_t tokens, float scale = 0.1f) {
    check(random_weights(GetParam().type, rows, cols, 11, scale), tokens);
  }
  void check(const RandomWeights& w, std::int64_t tokens) {
    const std::int64_t rows = w.rows, cols = w.cols;
    SCOPED_TRACE(testing::Message() << rows << " x " << cols << ", " << tokens << " tokens");
    const auto& [type, isa] = GetParam();
    std::vector<float> x = random_floats(tokens * cols, 5);
    std::vector<float> y(static_cast<std::size_t>(tokens * rows), -1.0f);
    auto device = make_device(isa, 2);
    const WeightView view = w.view();
    const auto matrix = std::move(device->pack({&view, 1})).value();
    device->matmul(*matrix, tensor(x, cols), nullptr, false, tensor(y, rows));
    for (std::int64_t t = 0; t < tokens; ++t)
      expect_product(w, std::span(x).subspan(static_cast<std::size_t>(t * cols), cols),
                     std::span(y).subspan(static_cast<std::size_t>(t * rows), rows),
                     conversion(type, isa));
  }
};

TEST_P(Matmul, OfManyShapes) {
  for (const std::int64_t rows : {1, 15, 16, 17, 129})
    for (const std::int64_t tokens : {1, 2, 3, 7, 8, 9, 15}) check(rows, 512, tokens);
  for (std::int64_t tokens = 16; tokens <= 70; tokens += 9) check(33, 256, tokens);
  check(2049, 256, 1);
  check(40, 2816, 5);
}

TEST_P(Matmul, WithTinyAndLargeScales) {
  check(17, 256, 3, 1e-5f);  // subnormal block scales
  check(17, 256, 3, 1e3f);
}

TEST_P(Matmul, WithScalesOfRowsAndOfBlocks) {
  const DType type = GetParam().type;
  if (!needs_scales(type)) return;
  for (const std::int64_t scale_rows : {std::int64_t{1}, kScaleBlock}) {
    for (const std::int64_t cols : {32, 96, 160, 512})
      check(with_scales(random_weights(type, 150, cols, 12), scale_rows, 13), 5);
    check(with_scales(random_weights(type, 150, 160, 12), scale_rows, 13), 33);
  }
}

TEST_P(Matmul, AddsBiasAndAccumulates) {
  const auto& [type, isa] = GetParam();
  const RandomWeights w = random_weights(type, 37, 256, 2);
  std::vector<float> x = random_floats(3 * 256, 4);
  const std::vector<float> bias = random_floats(37, 6);
  std::vector<float> plain(3 * 37);
  std::vector<float> biased(3 * 37);
  std::vector<float> added = random_floats(3 * 37, 8);
  const std::vector<float> before = added;
  auto device = make_device(isa, 1);
  const WeightView view = w.view();
  const auto matrix = std::move(device->pack({&view, 1})).value();
  device->matmul(*matrix, tensor(x, 256), nullptr, false, tensor(plain, 37));
  device->matmul(*matrix, tensor(x, 256), bias.data(), false, tensor(biased, 37));
  device->matmul(*matrix, tensor(x, 256), bias.data(), true, tensor(added, 37));
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(biased[i], plain[i] + bias[i % 37]);
    EXPECT_EQ(added[i], before[i] + biased[i]);
  }
}

TEST_P(Matmul, ZeroActivationsGiveZero) {
  const auto& [type, isa] = GetParam();
  const RandomWeights w = random_weights(type, 20, 256, 2);
  std::vector<float> x(2 * 256, 0.0f);
  std::fill(x.begin() + 256, x.end(), 1e-42f);  // subnormal
  std::vector<float> y(2 * 20, 1.0f);
  auto device = make_device(isa, 1);
  const WeightView view = w.view();
  const auto matrix = std::move(device->pack({&view, 1})).value();
  device->matmul(*matrix, tensor(x, 256), nullptr, false, tensor(y, 20));
  for (const float value : y) EXPECT_NEAR(value, 0.0f, 1e-38f);
}

TEST_P(Matmul, OneTokenAloneIsTheTokenInACrowd) {
  const auto& [type, isa] = GetParam();
  constexpr std::int64_t kRows = 83;
  constexpr std::int64_t kCols = 512;
  constexpr std::int64_t kTokens = 70;
  const RandomWeights w = random_weights(type, kRows, kCols, 21);
  const WeightView view = w.view();
  std::vector<float> x = random_floats(kTokens * kCols, 22);
  const std::vector<float> norm = random_floats(kCols, 23);
  std::vector<float> alone(kTokens * kRows);
  {
    auto device = make_device(isa, 1);
    const auto matrix = std::move(device->pack({&view, 1})).value();
    for (std::int64_t t = 0; t < kTokens; ++t)
      device->norm_matmul({x.data() + t * kCols, 1, kCols}, {norm.data(), kCols}, 1e-5f, *matrix,
                          nullptr, {alone.data() + t * kRows, 1, kRows});
  }
  for (const int threads : {1, 2, 3}) {
    auto device = make_device(isa, threads);
    const auto matrix = std::move(device->pack({&view, 1})).value();
    for (const std::int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 23, 32, 70}) {
      std::vector<float> y(static_cast<std::size_t>(tokens * kRows));
      device->norm_matmul({x.data(), tokens, kCols}, {norm.data(), kCols}, 1e-5f, *matrix, nullptr,
                          tensor(y, kRows));
      ASSERT_TRUE(std::equal(y.begin(), y.end(), alone.begin())) << threads << " " << tokens;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Matmul, testing::ValuesIn(all_cases()), [](const auto& test) {
  return test_name(test.param.type, test.param.isa);
});

class StackedMatmul : public testing::TestWithParam<std::string> {};

TEST_P(StackedMatmul, PartsOfDifferentTypes) {
  constexpr std::int64_t kCols = 512;
  const RandomWeights q = random_weights(DType::kQ4K, 48, kCols, 1);
  const RandomWeights k = random_weights(DType::kBF16, 9, kCols, 2);
  const RandomWeights v = random_weights(DType::kQ6K, 35, kCols, 3);
  const RandomWeights extra = random_weights(DType::kF32, 20, kCols, 4);
  const WeightView views[] = {q.view(), k.view(), v.view(), extra.view()};
  auto device = make_device(GetParam(), 2);
  const auto matrix = std::move(device->pack(views)).value();
  ASSERT_EQ(matrix->rows(), 112);
  std::vector<float> x = random_floats(5 * kCols, 9);
  std::vector<float> y(5 * 112);
  device->matmul(*matrix, tensor(x, kCols), nullptr, false, tensor(y, 112));
  for (std::size_t t = 0; t < 5; ++t) {
    std::size_t at = t * 112;
    for (const RandomWeights* part : {&q, &k, &v, &extra}) {
      expect_product(*part, std::span(x).subspan(t * kCols, kCols),
                     std::span(y).subspan(at, static_cast<std::size_t>(part->rows)),
                     conversion(part->type, GetParam()));
      at += static_cast<std::size_t>(part->rows);
    }
  }
}

TEST_P(StackedMatmul, EmbedReadsRowsOfThePackedTable) {
  auto device = make_device(GetParam(), 2);
  for (const DType type : kWeightTypes) {
    const RandomWeights w = random_weights(type, 301, 256, 31);
    const WeightView view = w.view();
    const auto matrix = std::move(device->pack({&view, 1})).value();
    const std::vector<std::int32_t> ids = {0, 300, 17, 16, 15, 300, 255};
    std::vector<float> out(ids.size() * 256);
    device->embed(*matrix, ids, tensor(out, 256));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::vector<float> row = w.row(ids[i]);
      ASSERT_TRUE(std::equal(row.begin(), row.end(), out.begin() + static_cast<long>(i) * 256));
    }
  }
}

TEST_P(StackedMatmul, RefusesWhatItCanNotMultiply) {
  auto device = make_device(GetParam(), 1);
  const std::vector<std::byte> bytes(4096);
  const WeightView integers{DType::kI32, bytes, 4, 256};
  EXPECT_EQ(device->pack({&integers, 1}).error().code, ErrorCode::kBadInput);
  const WeightView cut{DType::kF32, bytes, 5, 256};
  EXPECT_EQ(device->pack({&cut, 1}).error().code, ErrorCode::kBadInput);
  const WeightView uneven{DType::kQ4K, bytes, 1, 100};
  EXPECT_EQ(device->pack({&uneven, 1}).error().code, ErrorCode::kBadInput);
  const WeightView wide{DType::kF32, bytes, 4, 256};
  const WeightView narrow{DType::kF32, bytes, 4, 128};
  const WeightView both[] = {wide, narrow};
  EXPECT_EQ(device->pack(both).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(device->pack({}).error().code, ErrorCode::kBadInput);
}

INSTANTIATE_TEST_SUITE_P(Isas, StackedMatmul, testing::ValuesIn(available_isas()),
                         [](const auto& test) { return test.param; });

TEST(CpuDevice, NamesItsInstructionSet) {
  ASSERT_FALSE(available_isas().empty());
  const auto best = std::move(make_cpu_device({})).value();
  const auto named = std::move(make_cpu_device({1, available_isas().front()})).value();
  EXPECT_EQ(best->name(), named->name());
  EXPECT_EQ(make_cpu_device({1, "mmx"}).error().code, ErrorCode::kFailed);
}

}  // namespace
}  // namespace bundle::kernels
