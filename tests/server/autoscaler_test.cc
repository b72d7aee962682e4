#include "runtime/server/autoscaler.h"

#include <gtest/gtest.h>

namespace bundle::server {
namespace {

ReplicaLoad load_of(double concurrency, std::int64_t replicas = 1) {
  ReplicaLoad load;
  load.figures.concurrency = load.figures.burst = concurrency;
  load.concurrency = static_cast<std::int64_t>(concurrency);
  load.replicas = replicas;
  load.slots = 16;
  return load;
}

TEST(Autoscaler, FollowsTheConcurrency) {
  const ScalingOptions options{.target_concurrency = 10};
  EXPECT_EQ(advise(options, load_of(0)).replicas, 1);
  EXPECT_EQ(advise(options, load_of(10)).replicas, 1);
  EXPECT_EQ(advise(options, load_of(10.9)).replicas, 1) << "within a tenth";
  EXPECT_EQ(advise(options, load_of(25)).replicas, 3);
  EXPECT_EQ(advise(options, load_of(25, 4)).replicas, 10) << "this replica stands for the others";
  EXPECT_EQ(advise(options, load_of(5, 4)).replicas, 2);
}

TEST(Autoscaler, AimsAtWhatTheEngineRunsAtOnceByDefault) {
  EXPECT_EQ(advise({}, load_of(48)).replicas, 3);
}

TEST(Autoscaler, ABurstCountsAtOnce) {
  ReplicaLoad load = load_of(10);
  load.figures.burst = 40;
  EXPECT_EQ(advise({.target_concurrency = 10}, load).replicas, 4);
  load.figures.burst = 15;
  EXPECT_EQ(advise({.target_concurrency = 10}, load).replicas, 1);
}

TEST(Autoscaler, ALateFirstTokenCallsForMore) {
  ReplicaLoad load = load_of(4, 4);
  load.figures.first_token_p95 = 1.5;
  const ScalingOptions options{.target_concurrency = 10, .target_ttft_seconds = 1};
  EXPECT_EQ(advise(options, load).replicas, 6);
  EXPECT_EQ(advise(options, load).objective, "ttft");
  load.predicted_wait = 100;
  EXPECT_EQ(advise(options, load).replicas, 8) << "at most twice at once";
  load.figures.first_token_p95 = 0.5;
  load.predicted_wait = 0;
  EXPECT_EQ(advise(options, load).objective, "concurrency");
}

TEST(Autoscaler, NoneIsNeededWhenIdle) {
  ReplicaLoad load = load_of(0);
  load.figures.idle = 299;
  const ScalingOptions options{.idle_seconds = 300};
  EXPECT_EQ(advise(options, load).replicas, 1);
  load.figures.idle = 300;
  EXPECT_EQ(advise(options, load).replicas, 0);
  EXPECT_EQ(advise(options, load).objective, "idle");
  EXPECT_EQ(advise({}, load).replicas, 1) << "not asked for";
}

TEST(Autoscaler, StaysWithinItsBounds) {
  const ScalingOptions options{.target_concurrency = 1, .min_replicas = 2, .max_replicas = 5};
  EXPECT_EQ(advise(options, load_of(0)).replicas, 2);
  EXPECT_EQ(advise(options, load_of(50)).replicas, 5);
  EXPECT_EQ(advise(options, load_of(50)).objective, "bounds");
}

TEST(LoadMonitor, RemembersAMinute) {
  LoadMonitor load;
  for (int i = 0; i < 60; ++i) {
    load.arrived();
    load.finished(2, 20, 0.01);
    load.second_passed(3, 1);
  }
  LoadFigures figures = load.figures();
  EXPECT_EQ(figures.concurrency, 4);
  EXPECT_EQ(figures.requests_per_second, 1);
  EXPECT_EQ(figures.finished_per_second, 2);
  EXPECT_NEAR(figures.answer_tokens, 10, 1e-9);
  for (int i = 0; i < 6; ++i) load.second_passed(0, 0);
  figures = load.figures();
  EXPECT_EQ(figures.burst, 0);
  EXPECT_NEAR(figures.concurrency, 3.6, 1e-9);
  EXPECT_EQ(figures.finished_per_second, 2) << "idle seconds say nothing about speed";
}

TEST(LoadMonitor, MeasuresPrefill) {
  LoadMonitor load;
  EXPECT_EQ(load.figures().first_token_p95, -1);
  load.first_token(3, 2, 1000);
  EXPECT_EQ(load.figures().first_token_p95, 3);
  EXPECT_NEAR(load.figures().prompt_token, 0.002, 1e-9);
}

}  // namespace
}  // namespace bundle::server
