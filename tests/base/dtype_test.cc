#include "base/dtype.h"

#include <gtest/gtest.h>
#include <limits>

namespace bundle {
namespace {

TEST(DType, StorageOfWholeBlocks) {
  EXPECT_EQ(storage_bytes(DType::kBF16, 3), 6u);
  EXPECT_EQ(storage_bytes(DType::kQ4_1, 64), 40u);
  EXPECT_EQ(storage_bytes(DType::kQ6K, 512), 420u);
}

TEST(DType, PartBlocksNegativeCountsAndOverflowHaveNoSize) {
  EXPECT_FALSE(storage_bytes(DType::kQ4_0, 33));
  EXPECT_FALSE(storage_bytes(DType::kF32, -1));
  EXPECT_FALSE(storage_bytes(DType::kF64, std::numeric_limits<std::int64_t>::max()));
}

}  // namespace
}  // namespace bundle
