#include "base/kv_type.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(KvType, IsNamedAsSettingsNameIt) {
  EXPECT_EQ(kv_type_named("f16"), DType::kF16);
  EXPECT_EQ(kv_type_named("bf16"), DType::kBF16);
  EXPECT_EQ(kv_type_named("f32"), DType::kF32);
  EXPECT_EQ(kv_type_named("fp8"), DType::kF8E4M3);
  EXPECT_EQ(kv_type_named("int8"), DType::kI8);
  EXPECT_EQ(kv_type_named("q8_0"), std::nullopt);
  EXPECT_EQ(kv_type_named(""), std::nullopt);
}

TEST(KvType, AVectorTakesItsElementsAndScales) {
  EXPECT_EQ(kv_vector_bytes(DType::kF16, 128), 256);
  EXPECT_EQ(kv_vector_bytes(DType::kF8E4M3, 576), 576);
  EXPECT_EQ(kv_vector_bytes(DType::kI8, 128), 128 + 4 * 2);
  EXPECT_EQ(kv_vector_bytes(DType::kI8, 576), 576 + 18 * 2);
  EXPECT_EQ(kv_vector_bytes(DType::kI8, 33), 33 + 2 * 2);
}

}  // namespace
}  // namespace bundle
