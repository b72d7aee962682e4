#include "runtime/kernels/int8_group.h"

#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What a vector reads as after it was stored.
std::vector<float> stored(const std::vector<float>& values, std::int64_t scale_stride = 1) {
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> codes(values.size());
  std::vector<std::byte> scales(static_cast<std::size_t>((n + 31) / 32 * scale_stride * 2));
  store_int8(values.data(), n, codes.data(), scales.data(), scale_stride);
  std::vector<float> read(values.size());
  load_int8(codes.data(), scales.data(), scale_stride, n, read.data());
  return read;
}

TEST(Int8Group, ElementsAreWithinHalfAStepOfTheirGroup) {
  for (const std::int64_t n : {1, 31, 32, 33, 100, 576}) {
    for (const float size : {1e-30f, 1e-3f, 1.0f, 1e30f}) {
      const std::vector<float> values = random_floats(n, 3, size);
      for (const std::int64_t stride : {1, 16}) {
        const std::vector<float> read = stored(values, stride);
        for (std::size_t i = 0; i < values.size(); ++i) {
          float largest = 0;
          for (std::size_t k = i / 32 * 32; k < std::min(values.size(), i / 32 * 32 + 32); ++k)
            largest = std::max(largest, std::abs(values[k]));
          // The scale is at most one part in 128 above the least that would do.
          EXPECT_LE(std::abs(read[i] - values[i]), largest / 127 * (1 + 1.0f / 127) * 0.501f) << i;
        }
      }
    }
  }
}

TEST(Int8Group, TheScaleIsTheSmallestThatHoldsTheLargest) {
  EXPECT_EQ(int8_scale(127.0f), 0x3F80);  // exactly 1
  EXPECT_EQ(int8_scale(127.001f), 0x3F81);
  EXPECT_EQ(stored({127.0f, -127.0f, 3.4f, -0.5f, 1.5f}), (std::vector<float>{127, -127, 3, 0, 2}));
}

TEST(Int8Group, NothingThatIsStoredSpoilsASum) {
  const std::vector<float> values = {kInfinity, -kInfinity, std::nanf(""), 1.0f};
  for (const float value : stored(values)) EXPECT_TRUE(std::isfinite(value));
  EXPECT_EQ(stored({std::nanf(""), 2.0f})[0], 0.0f);
  EXPECT_EQ(stored({0.0f, 1e-40f, -1e-36f}), (std::vector<float>{0, 0, 0}));
}

}  // namespace
}  // namespace bundle::kernels
