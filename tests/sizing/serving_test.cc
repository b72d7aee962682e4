#include "runtime/sizing/serving.h"

#include <gtest/gtest.h>

#include "cloud/catalog/catalog.h"

namespace bundle::sizing {
namespace {

/// A model in FP8, ready to be asked.
Replica replica_on(const char* model, const char* gpu, const Layout& layout,
                   std::int64_t kv_tokens) {
  static const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  ModelShape shape = catalog::shape_of(**catalog.model(model)).value();
  if (!shape.config.mla) shape.format = weight_format("fp8-channel").value();
  Replica replica;
  replica.gpu = **catalog.gpu(gpu);
  replica.work =
      rank_work(model_work(predicted_parts(shape).value(), shape), shape, layout, KvType{}, 2048);
  replica.fabric = {replica.gpu.link_gb_s, 50, 8};
  replica.profile = engine_profile("bundle");
  replica.kv_tokens = kv_tokens;
  return replica;
}

Load users(double count) {
  Load load;
  load.concurrency = count;
  return load;
}

TEST(Serving, NeverBeatsPhysics) {
  for (const double count : {1.0, 8.0, 64.0, 256.0}) {
    const Served served =
        serve_load(replica_on("llama-3.3-70b", "h100", Layout{4}, 1'000'000), users(count), {});
    EXPECT_GT(served.tpot, served.tpot_bound) << count;
    EXPECT_LT(served.tokens_s, served.tokens_s_bound) << count;
  }
}

TEST(Serving, MoreUsersWaitLongerAndGetMoreInAll) {
  const Replica replica = replica_on("llama-3.3-70b", "h100", Layout{4}, 1'000'000);
  Served before = serve_load(replica, users(1), {});
  for (const double count : {4.0, 16.0, 64.0, 256.0}) {
    const Served now = serve_load(replica, users(count), {});
    EXPECT_GT(now.tpot, before.tpot) << count;
    EXPECT_GT(now.ttft, before.ttft) << count;
    EXPECT_GT(now.tokens_s, before.tokens_s) << count;
    before = now;
  }
}

TEST(Serving, UsersBeyondTheCacheWait) {
  const Replica replica = replica_on("llama-3.3-70b", "h100", Layout{4}, 50'000);
  const Served few = serve_load(replica, users(8), {});
  const Served many = serve_load(replica, users(200), {});
  EXPECT_EQ(few.wait, 0);
  EXPECT_GT(many.wait, 10);
  EXPECT_GT(many.ttft, many.wait);
  EXPECT_LT(many.active, 30);
}

TEST(Serving, ARateIsSoManyUsers) {
  const Replica replica = replica_on("llama-3.3-70b", "h100", Layout{4}, 1'000'000);
  Load load;
  load.rate = 0.5;
  const Served served = serve_load(replica, load, {});
  EXPECT_FALSE(served.saturated);
  // Little's law: users = rate x the time one request takes.
  EXPECT_NEAR(served.active, load.rate * load.output_tokens * served.tpot, 0.05 * served.active);
  load.rate = 1000;
  EXPECT_TRUE(serve_load(replica, load, {}).saturated);
}

TEST(Serving, KeepsThePaceItIsGiven) {
  const Replica replica = replica_on("llama-3.3-70b", "h100", Layout{4}, 1'000'000);
  const Served served = serve_within(replica, Load{}, {}, 0.03);
  EXPECT_LE(served.tpot, 0.03);
  EXPECT_GT(serve_load(replica, users(served.active + 2), {}).tpot, 0.03);
}

TEST(StepTime, ReadsOnlyTheExpertsThatAreChosen) {
  const Replica replica = replica_on("deepseek-r1", "h200", Layout{8, 1, 8, 1}, 600'000);
  const auto experts = [&](double sequences) {
    return step_time(replica.work, replica.gpu, replica.fabric, {}, replica.profile,
                     {sequences, 1024, 0, 0})
        .experts;
  };
  EXPECT_GT(experts(8), 4 * experts(1));
  EXPECT_LT(experts(8), 8 * experts(1));
  EXPECT_LT(experts(512), 1.5 * experts(256));  // nearly all of them already
}

TEST(StepTime, OfDeepseekR1IsBoundByWhatOneTokenTouches) {
  // 37.7 GB touched, eight times 4.8 TB/s: the bound of one user.
  const Replica replica = replica_on("deepseek-r1", "h200", Layout{8, 1, 8, 1}, 600'000);
  const double bound = step_bound(replica.work, replica.gpu, Efficiency{}, {1, 0, 0, 0});
  EXPECT_NEAR(bound, 37.7e9 / (8 * 4.8e12), 0.3e-3);
}

TEST(StepTime, ReducesOverTheNetworkCostMore) {
  Replica replica = replica_on("llama-3.3-70b", "h100", Layout{16}, 600'000);
  const Step step{16, 1024, 0, 0};
  const auto collectives = [&] {
    return step_time(replica.work, replica.gpu, replica.fabric, {}, replica.profile, step)
        .collectives;
  };
  const double across = collectives();
  replica.fabric.per_node = 16;
  EXPECT_GT(across, collectives());
}

}  // namespace
}  // namespace bundle::sizing
