#include "runtime/quantize/quantize.h"

#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/half.h"
#include "runtime/quantize/block_encoder.h"

namespace bundle::quantize {
namespace {

using Values = std::vector<float>;
using Blocks = std::vector<std::byte>;

constexpr DType kBlockTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ5_0, DType::kQ4K};
constexpr std::int64_t kCount = 8192;

Values normal(std::int64_t count, float scale, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(0.0f, scale);
  Values all(static_cast<std::size_t>(count));
  for (float& value : all) value = values(random);
  return all;
}

Blocks encoded(DType type, const Values& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  Blocks out(*storage_bytes(type, count));
  encode_row(type, values.data(), count, out.data());
  return out;
}

Values decoded(DType type, const Blocks& blocks, std::int64_t count) {
  Values values(static_cast<std::size_t>(count));
  kernels::dequantize_row(type, blocks.data(), count, values.data());
  return values;
}

/// Root mean square of the errors as a part of that of the values.
double relative_error(DType type, const Values& values) {
  const Values back =
      decoded(type, encoded(type, values), static_cast<std::int64_t>(values.size()));
  double wrong = 0, all = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    wrong += std::pow(static_cast<double>(values[i]) - back[i], 2);
    all += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(wrong / all);
}

/// Values that weights have and some that they should not.
std::vector<Values> samples() {
  std::vector<Values> all = {normal(kCount, 0.02f), normal(kCount, 3e4f / 4), normal(kCount, 1e-7f),
                             Values(kCount, 0.0f),  Values(kCount, -0.25f),   Values(kCount, 7.5f)};
  Values mixed = normal(kCount, 1.0f, 2);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    mixed[i] *= std::exp(static_cast<float>(i / 256) / 2 - 8);
    if (i % 3 == 0) mixed[i] = std::round(mixed[i] * 4) / 4;  // ties
  }
  all.push_back(mixed);
  for (float& value : mixed) value = std::abs(value);
  all.push_back(mixed);
  return all;
}

using Encode = void (*)(const float*, std::int64_t, std::byte*);
Encode function_of(const BlockEncoder& encoder, DType type) {
  switch (type) {
    case DType::kQ8_0:
      return encoder.q8_0;
    case DType::kQ4_0:
      return encoder.q4_0;
    case DType::kQ5_0:
      return encoder.q5_0;
    default:
      return encoder.q4_k;
  }
}

// The digest of a bundle must not depend on the processor.
TEST(Quantize, EveryInstructionSetGivesTheSameBytes) {
  if (__builtin_cpu_supports("avx2") == 0) GTEST_SKIP() << "this processor has no AVX2";
  for (const Values& values : samples()) {
    for (const DType type : kBlockTypes) {
      Blocks plain(*storage_bytes(type, kCount)), avx2(plain.size());
      function_of(kPlainEncoder, type)(values.data(), kCount, plain.data());
      function_of(kAvx2Encoder, type)(values.data(), kCount, avx2.data());
      EXPECT_EQ(plain, avx2) << dtype_info(type).name;
    }
    Blocks plain(kCount), avx2(kCount);
    kPlainEncoder.f8(values.data(), kCount - 3, 200.0f, plain.data());
    kAvx2Encoder.f8(values.data(), kCount - 3, 200.0f, avx2.data());
    EXPECT_EQ(plain, avx2);
  }
}

// The definitions, written plainly; roundf is ggml's rounding for Q8_0, cutting off for the others.
TEST(Quantize, TheOldTypesAreGgmls) {
  for (const Values& values : samples()) {
    const Blocks q8 = encoded(DType::kQ8_0, values), q4 = encoded(DType::kQ4_0, values);
    for (std::size_t b = 0; b < values.size() / 32; ++b) {
      const float* x = values.data() + b * 32;
      float extreme = 0.0f;
      for (int i = 0; i < 32; ++i) extreme = std::abs(x[i]) > std::abs(extreme) ? x[i] : extreme;
      const float d8 = std::abs(extreme) / 127.0f, d4 = extreme / -8.0f;
      for (int i = 0; i < 32; ++i) {
        const float q = d8 == 0 ? 0.0f : std::round(x[i] * (1.0f / d8));
        ASSERT_EQ(static_cast<int>(static_cast<std::int8_t>(q8[b * 34 + 2 + i])),
                  static_cast<int>(q));
        const int code = d4 == 0 ? 8 : std::min(15, static_cast<int>(x[i] * (1.0f / d4) + 8.5f));
        const auto byte = static_cast<unsigned>(q4[b * 18 + 2 + i % 16]);
        ASSERT_EQ(static_cast<int>(i < 16 ? byte & 15 : byte >> 4), code);
      }
      std::uint16_t half = 0;
      std::memcpy(&half, q8.data() + b * 34, 2);
      ASSERT_EQ(half, kernels::float_to_half(d8));
    }
  }
}

// Of normally distributed weights. tests/quantize/beside_ggml.py sets ggml's own errors beside
// ours.
TEST(Quantize, ErrorsAreAsSmallAsTheTypesAllow) {
  const Values values = normal(1 << 18, 0.02f);
  EXPECT_LT(relative_error(DType::kQ8_0, values), 0.0060);
  EXPECT_LT(relative_error(DType::kQ5_0, values), 0.046);
  EXPECT_LT(relative_error(DType::kQ4_0, values), 0.093);
  EXPECT_LT(relative_error(DType::kQ4K, values), 0.079);
}

TEST(Quantize, ValuesThatATypeHoldsComeBack) {
  Values values(512);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 16) - 8;
  for (const DType type : {DType::kQ4_0, DType::kQ5_0, DType::kQ4K}) {
    const Values back = decoded(type, encoded(type, values), 512);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(back[i], values[i], 8 * 0.01) << dtype_info(type).name << ' ' << i;
    }
  }
  for (const DType type : kBlockTypes) {
    EXPECT_EQ(decoded(type, encoded(type, Values(512, 0.0f)), 512), Values(512, 0.0f));
  }
}

TEST(Quantize, NoValueIsFartherOffThanAStep) {
  for (const Values& values : samples()) {
    const Values back = decoded(DType::kQ4K, encoded(DType::kQ4K, values), kCount);
    for (std::size_t at = 0; at < values.size(); at += 256) {
      // Six-bit factors are shared by 256 elements: the step may be off by a 63rd of the largest.
      const auto [low, high] =
          std::minmax_element(values.begin() + static_cast<std::ptrdiff_t>(at),
                              values.begin() + static_cast<std::ptrdiff_t>(at + 256));
      const float range = std::max(*high, 0.0f) - std::min(*low, 0.0f);
      for (std::size_t i = at; i < at + 256; ++i) {
        ASSERT_LE(std::abs(values[i] - back[i]), range * 0.16f + 1e-6f) << i;
      }
    }
  }
}

TEST(Quantize, SeesEveryNumberThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t at : {0u, 7u, 8u, 20u, 21u}) {
      Values values = normal(22, 1.0f);
      EXPECT_TRUE(std::isfinite(largest_magnitude(values.data(), 22)));
      values[at] = bad;
      EXPECT_FALSE(std::isfinite(largest_magnitude(values.data(), 22))) << at;
    }
  }
  const Values values = {1.0f, -3.0f, 2.0f};
  EXPECT_EQ(largest_magnitude(values.data(), 3), 3.0f);
}

TEST(Quantize, EightBitFloatsRoundAsTheScalarConversion) {
  Values values = normal(4096, 40.0f);
  for (std::size_t i = 0; i < 512; ++i)
    values[i] = static_cast<float>(i) / 1024;  // subnormals, ties
  values[600] = 448.0f;
  values[601] = -448.0f;
  Blocks out(values.size());
  block_encoder().f8(values.data(), 4096, 1.0f, out.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(static_cast<std::uint8_t>(out[i]), kernels::float_to_f8e4m3(values[i])) << values[i];
  }
}

TEST(Quantize, AStripOfEightBitFloatsHasAScaleABlock) {
  constexpr std::int64_t kRows = 100, kCols = 300;
  Values values = normal(kRows * kCols, 0.02f);
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t c = 256; c < kCols; ++c) values[static_cast<std::size_t>(r * kCols + c)] = 0;
  }
  Blocks out(values.size());
  Values scales(3);
  encode_f8_strip(values.data(), kRows, kCols, kCols, out.data(), scales.data());
  EXPECT_EQ(scales[2], 1.0f);
  const kernels::WeightView view{DType::kF8E4M3, out, kRows, kCols, scales.data(), 3};
  Values row(kCols);
  for (std::int64_t r = 0; r < kRows; ++r) {
    kernels::dequantize_row(view, r, row.data());
    for (std::int64_t c = 0; c < kCols; ++c) {
      const float value = values[static_cast<std::size_t>(r * kCols + c)];
      // Three bits of mantissa: a sixteenth of the value; and of the smallest normal number.
      const float allowed =
          std::max(std::abs(value) / 16, scales[static_cast<std::size_t>(c / 128)] * 0x1p-10f);
      ASSERT_NEAR(row[static_cast<std::size_t>(c)], value, allowed * 1.0001f);
    }
  }
}

TEST(Quantize, RowsOfBytesHaveAScaleEach) {
  constexpr std::int64_t kRows = 5, kCols = 96;
  Values values = normal(kRows * kCols, 0.02f);
  std::fill_n(values.begin() + 2 * kCols, kCols, 0.0f);
  std::fill_n(values.begin() + 3 * kCols, kCols, -1e-44f);
  values[4 * kCols] = 127.0f;
  values[4 * kCols + 1] = 2.5f;  // halves go to the even byte
  values[4 * kCols + 2] = -3.5f;
  Blocks out(values.size());
  Values scales(kRows);
  encode_int8_rows(values.data(), kRows, kCols, out.data(), scales.data());
  EXPECT_EQ(scales[2], 1.0f);
  EXPECT_EQ(scales[3], 1.0f);
  EXPECT_EQ(scales[4], 1.0f);
  EXPECT_EQ(static_cast<std::int8_t>(out[4 * kCols]), 127);
  EXPECT_EQ(static_cast<std::int8_t>(out[4 * kCols + 1]), 2);
  EXPECT_EQ(static_cast<std::int8_t>(out[4 * kCols + 2]), -4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = scales[i / kCols];
    ASSERT_NEAR(static_cast<float>(static_cast<std::int8_t>(out[i])) * scale, values[i],
                0.5001f * scale);
  }
}

TEST(Quantize, ReadsWhatIsPublished) {
  const Values values = normal(6 * 40, 1.0f);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Blocks stored = encoded(type, values);
    const SourceMatrix matrix{type, stored, 6, 40};
    Values part(7);
    read_row(matrix, 4, 30, 7, part.data());
    for (std::size_t i = 0; i < part.size(); ++i) {
      EXPECT_NEAR(part[i], values[4 * 40 + 30 + i], 0.02f);
    }
  }
}

}  // namespace
}  // namespace bundle::quantize
