#include "runtime/kernels/half.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "runtime/kernels/float8_check.h"

namespace bundle::kernels {
namespace {

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_GT(bits & 0x7FFF, 0x7C00u);
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), half) << bits;
    }
  }
}

TEST(Half, KnownValues) {
  EXPECT_EQ(half_to_float(0x3C00), 1.0f);
  EXPECT_EQ(half_to_float(0xC000), -2.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(half_to_float(0x7BFF), 65504.0f);
  EXPECT_TRUE(std::isinf(half_to_float(0x7C00)));
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(float_to_half(1.0f + 0x1p-11f), 0x3C00);             // tie, down to even
  EXPECT_EQ(float_to_half(1.0f + 3 * 0x1p-11f), 0x3C02);         // tie, up to even
  EXPECT_EQ(float_to_half(1.0f + 0x1p-11f + 0x1p-20f), 0x3C01);  // over half
  EXPECT_EQ(float_to_half(0x1p-25f), 0x0000);                    // tie with zero
  EXPECT_EQ(float_to_half(0x1.8p-25f), 0x0001);
  EXPECT_EQ(float_to_half(65519.0f), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0f), 0x7C00);
  EXPECT_EQ(float_to_half(-1e30f), 0xFC00);
}

TEST(Bf16, RoundsToNearestEvenAndKeepsNan) {
  EXPECT_EQ(float_to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-8f), 0x3F80);
  EXPECT_EQ(float_to_bf16(1.0f + 3 * 0x1p-8f), 0x3F82);
  EXPECT_EQ(bf16_to_float(0xC040), -3.0f);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::nanf("")))));
  EXPECT_TRUE(std::isinf(bf16_to_float(float_to_bf16(3.4e38f))));
}

TEST(F8, KnownValues) {
  EXPECT_EQ(f8e4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(f8e4m3_to_float(0x7E), 448.0f);
  EXPECT_EQ(f8e4m3_to_float(0x81), -0x1p-9f);
  EXPECT_TRUE(std::isnan(f8e4m3_to_float(0xFF)));
  EXPECT_EQ(f8e5m2_to_float(0x3C), 1.0f);
  EXPECT_EQ(f8e5m2_to_float(0x7B), 57344.0f);
  EXPECT_TRUE(std::isinf(f8e5m2_to_float(0xFC)));
}

TEST(F8, EveryValueSurvivesTheRoundTrip) {
  for (int bits = 0; bits < 256; ++bits) {
    const float value = f8e4m3_to_float(static_cast<std::uint8_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(float_to_f8e4m3(value), bits);
  }
}

TEST(F8, RoundsToNearestEvenAndStaysFinite) {
  EXPECT_EQ(float_to_f8e4m3(1.0f + 0x1p-4f), 0x38);  // tie, down to even
  EXPECT_EQ(float_to_f8e4m3(1.0f + 3 * 0x1p-4f), 0x3A);
  EXPECT_EQ(float_to_f8e4m3(0x1p-10f), 0x00);  // tie with zero
  EXPECT_EQ(float_to_f8e4m3(0x1.8p-10f), 0x01);
  EXPECT_EQ(float_to_f8e4m3(0x1.fp-7f), 0x08);  // rounds to the smallest normal value
  EXPECT_EQ(float_to_f8e4m3(463.0f), 0x7E);
  EXPECT_EQ(float_to_f8e4m3(-1e9f), 0xFE);
  EXPECT_TRUE(std::isnan(f8e4m3_to_float(float_to_f8e4m3(std::nanf("")))));
}

TEST(Float8, NanIsFoundWhereverItLies) {
  for (int bits = 0; bits < 256; ++bits) {
    const auto code = static_cast<std::uint8_t>(bits);
    std::vector<std::byte> codes(67, std::byte{0x7E});
    for (const std::size_t at : {0u, 31u, 66u}) {
      codes[at] = static_cast<std::byte>(code);
      EXPECT_EQ(holds_nan(codes), std::isnan(f8e4m3_to_float(code))) << bits << " at " << at;
      codes[at] = std::byte{0xFE};
    }
  }
  EXPECT_FALSE(holds_nan({}));
}

}  // namespace
}  // namespace bundle::kernels
