#include "runtime/sizing/memory_plan.h"

#include <gmock/gmock.h>
#include <limits>

#include "tests/sizing/published_models.h"

namespace bundle::sizing {
namespace {

PublishedModel model_named(const std::string& name) {
  for (PublishedModel& model : published_models()) {
    if (model.name == name) return model;
  }
  ADD_FAILURE() << "no model " << name;
  return {};
}

TEST(KvBytes, EqualThePublishedFigures) {
  for (const PublishedModel& model : published_models()) {
    EXPECT_EQ(kv_bytes_per_token(model.config, DType::kBF16), model.kv_bytes_16bit) << model.name;
    EXPECT_EQ(kv_bytes_per_token(model.config, DType::kF8E4M3) * 2, model.kv_bytes_16bit);
    EXPECT_EQ(kv_bytes_per_token(model.config, DType::kF32), model.kv_bytes_16bit * 2);
  }
}

TEST(KvBytes, OfDeepseekR1AreItsLatentAlone) {
  const format::ModelConfig config = model_named("DeepSeek-R1").config;
  EXPECT_EQ(kv_elements_per_token(config), 61u * 576u);
  EXPECT_EQ(kv_bytes_per_token(config, DType::kBF16), 70272u);
  EXPECT_EQ(kv_bytes_per_token(config, DType::kI8), 61u * (576 + 36));
}

TEST(WeightBytes, OfSmollm2AreItsCheckpoint) {
  const format::ModelConfig config = model_named("SmolLM2-135M").config;
  EXPECT_EQ(*weight_bytes(config, DType::kBF16), 269030016u);
  EXPECT_EQ(*weight_bytes(config, DType::kF32), 2 * 269030016u);
  EXPECT_EQ(*weight_bytes(config, DType::kQ4_0), (134515008u + 31) / 32 * 18);
}

TEST(MemoryPlan, FillsWhatTheWeightsLeave) {
  const auto plan = plan_memory({1000, 50, 100}, 1000 + 50 + 7 * 100 + 1);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->left_for_kv, 701u);
  EXPECT_EQ(plan->kv_tokens, 7);
}

TEST(MemoryPlan, SaysWhatIsLacking) {
  const auto plan = plan_memory({269030016, 0, 23040}, 1000000);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kFailed);
  EXPECT_THAT(plan.error().message(), testing::HasSubstr("269 MB"));
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_FALSE(plan_memory({most, most, 1}, most));
  EXPECT_TRUE(plan_memory({0, 0, 1}, most));
}

TEST(HostActivations, AreTheBuffersOfAStep) {
  const format::ModelConfig config = model_named("SmolLM2-135M").config;
  // 576 + 3 x 1536 floats a token, and 64 rows of 49152 logits twice.
  EXPECT_EQ(host_activation_bytes(config, 512, 64), (512u * 5184 + 2 * 64u * 49152) * 4);
  EXPECT_EQ(host_activation_bytes(config, 1, 64), (5184u + 2 * 49152) * 4);
}

}  // namespace
}  // namespace bundle::sizing
