#include "runtime/kernels/cpu/packed_layout.h"

#include <gtest/gtest.h>

#include "tests/kernels/random_weights.h"

namespace bundle::kernels::cpu {
namespace {

/// The block of the weights' rows.
std::vector<std::byte> pack(const RandomWeights& weights, const PackedLayout& layout) {
  std::vector<std::byte> block(static_cast<std::size_t>(layout.stride));
  const auto rows = static_cast<int>(weights.rows);
  pack_rows(layout, weights.bytes.data(), weights.row_bytes(), rows, block.data());
  for (int row = 0; !weights.scales.empty() && row < rows; ++row)
    pack_scales(layout, row, weights.view().scales_of(row), block.data());
  return block;
}

class PackedRows : public testing::TestWithParam<DType> {};

TEST_P(PackedRows, ComeBackAsPublished) {
  const DType type = GetParam();
  for (const int rows : {1, 3, 16}) {
    for (const std::int64_t cols : {256, 768}) {
      const RandomWeights weights = random_weights(type, rows, cols, 7);
      const PackedLayout layout = packed_layout(type, cols);
      const std::vector<std::byte> block = pack(weights, layout);
      std::vector<float> values(static_cast<std::size_t>(cols));
      for (int row = 0; row < rows; ++row) {
        unpack_row(layout, block.data(), row, values.data());
        ASSERT_EQ(values, weights.row(row)) << rows << " rows, row " << row;
      }
      for (int row = rows; row < kPackRows; ++row) {
        unpack_row(layout, block.data(), row, values.data());
        for (const float value : values) ASSERT_EQ(value, 0.0f);
      }
    }
  }
}

TEST_P(PackedRows, TakeLittleMoreThanPublished) {
  const DType type = GetParam();
  const std::int64_t cols = 2048;
  const auto published = kPackRows * static_cast<std::int64_t>(*storage_bytes(type, cols));
  const std::int64_t packed = packed_layout(type, cols).stride;
  EXPECT_GE(packed, published * 99 / 100);
  EXPECT_LE(packed, published * 104 / 100);
}

INSTANTIATE_TEST_SUITE_P(Types, PackedRows, testing::ValuesIn(kWeightTypes),
                         [](const auto& test) { return std::string(dtype_info(test.param).name); });

TEST(PackedRows, FloatsOfOddWidth) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    const RandomWeights weights = random_weights(type, 5, 37, 3);
    const PackedLayout layout = packed_layout(type, 37);
    const std::vector<std::byte> block = pack(weights, layout);
    std::vector<float> values(37);
    for (int row = 0; row < 5; ++row) {
      unpack_row(layout, block.data(), row, values.data());
      ASSERT_EQ(values, weights.row(row));
    }
  }
}

TEST(PackedRows, WideIntegersHaveNoPackedForm) {
  EXPECT_FALSE(can_pack(DType::kI32));
  EXPECT_FALSE(can_pack(DType::kF64));
  EXPECT_TRUE(can_pack(DType::kI8));
  EXPECT_TRUE(can_pack(DType::kF8E4M3));
  EXPECT_TRUE(can_pack(DType::kIQ4XS));
}

}  // namespace
}  // namespace bundle::kernels::cpu
