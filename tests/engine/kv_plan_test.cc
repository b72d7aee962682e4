#include "runtime/engine/kv_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::engine {
namespace {

constexpr std::uint64_t kGiB = 1ull << 30;
constexpr KvNeeds kSmall{23040, 8192};     // SmolLM2-135M
constexpr KvNeeds kLarge{131072, 131072};  // Llama 3.1 8B

TEST(KvPlan, ASmallModelDoesNotTakeTheMachine) {
  const KvPlan plan = *plan_kv(kSmall, {}, 24 * kGiB);
  EXPECT_EQ(plan.max_context, 8192);
  EXPECT_LE(static_cast<std::uint64_t>(plan.blocks) * 16 * kSmall.bytes_per_token,
            2 * kGiB + 400000);
  EXPECT_GE(plan.blocks * 16, 8 * 8192);
}

TEST(KvPlan, FewSequencesNeedLess) {
  EngineOptions options;
  options.max_sequences = 2;
  EXPECT_EQ(plan_kv(kSmall, options, 24 * kGiB)->blocks, 2 * 8192 / 16);
}

TEST(KvPlan, ALargeModelGetsOneContextWhereItFits) {
  EXPECT_EQ(plan_kv(kLarge, {}, 100 * kGiB)->max_context, 131072);
  EngineOptions options;
  options.mapped_weight_bytes = 8 * kGiB;
  const KvPlan plan = *plan_kv(kLarge, options, 24 * kGiB);
  EXPECT_EQ(plan.max_context, 65536);  // half of the 16 GiB beside the weights
}

TEST(KvPlan, AskedForTokensAreGiven) {
  EngineOptions options;
  options.kv_tokens = 1000;
  const KvPlan plan = *plan_kv(kSmall, options, 1);
  EXPECT_EQ(plan.blocks, 63);
  EXPECT_EQ(plan.max_context, 1008);
}

TEST(KvPlan, ContextIsTheLeastOfModelOptionAndCache) {
  EngineOptions options;
  options.max_context = 4096;
  EXPECT_EQ(plan_kv(kSmall, options, 24 * kGiB)->max_context, 4096);
  options.max_context = 8193;
  EXPECT_EQ(plan_kv(kSmall, options, 24 * kGiB).error().code, ErrorCode::kUsage);
  options.max_context = 4096;
  options.kv_tokens = 4000;
  EXPECT_THAT(plan_kv(kSmall, options, 24 * kGiB).error().message(),
              testing::HasSubstr("kv_tokens"));
}

TEST(KvPlan, TooLittleMemoryIsSaid) {
  const auto plan = plan_kv(kLarge, {}, 32u << 20);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kFailed);
  EXPECT_THAT(plan.error().message(), testing::HasSubstr("33.6 MB"));
}

TEST(KvPlan, NothingIsPlannedFromNonsense) {
  for (const auto change : {+[](EngineOptions& o) { o.block_tokens = 0; },
                            +[](EngineOptions& o) { o.max_sequences = 0; },
                            +[](EngineOptions& o) { o.max_step_tokens = 0; },
                            +[](EngineOptions& o) { o.kv_tokens = -1; },
                            +[](EngineOptions& o) { o.max_context = -5; }}) {
    EngineOptions options;
    change(options);
    EXPECT_FALSE(plan_kv(kSmall, options, 24 * kGiB));
  }
  EngineOptions options;
  options.kv_tokens = std::int64_t{1} << 62;
  EXPECT_FALSE(plan_kv(kSmall, options, 24 * kGiB));
  options = {};
  options.max_sequences = std::int64_t{1} << 62;
  EXPECT_TRUE(plan_kv(kSmall, options, 24 * kGiB));
}

TEST(KvPlan, UnknownMemoryIsTakenForModest) { EXPECT_TRUE(plan_kv(kSmall, {}, std::nullopt)); }

}  // namespace
}  // namespace bundle::engine
