#include "runtime/sizing/search.h"

#include <algorithm>
#include <chrono>
#include <gmock/gmock.h>

#include "cloud/catalog/catalog.h"

namespace bundle::sizing {
namespace {

using testing::HasSubstr;

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

const catalog::Catalog& built_in() {
  static const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  return catalog;
}

SizedModel model_named(const std::string& name) {
  SizedModel model;
  model.shape = catalog::shape_of(**built_in().model(name)).value();
  model.parts = predicted_parts(model.shape).value();
  return model;
}

Objectives usual() {
  Objectives objectives;
  objectives.load.concurrency = 16;
  objectives.tpot = 0.05;
  return objectives;
}

Answer ask(const std::string& name, const Objectives& objectives) {
  return search({model_named(name)}, built_in().gpus(), built_in().machines(), objectives,
                Efficiency{}, engine_profile("bundle"));
}

TEST(Search, PutsDeepseekR1OnEightH200) {
  const Answer answer = ask("deepseek-r1", usual());
  ASSERT_FALSE(answer.plans.empty());
  const Plan& best = answer.plans.front();
  EXPECT_EQ(best.gpu->id, "h200_sxm");
  EXPECT_EQ(best.layout, (Layout{8, 1, 8, 1}));
  EXPECT_EQ(best.copies, 1);
  EXPECT_NEAR(static_cast<double>(best.memory.weights) / kGiB, 79.3, 0.05);
  EXPECT_NEAR(static_cast<double>(best.kv_tokens), 610e3, 10e3);
  ASSERT_NE(best.machine, nullptr);
  EXPECT_EQ(best.machine->gpu_count, 8);
  for (const MachineSpec& machine : built_in().machines()) {
    if (machine.gpu != "h200_sxm" || machine.gpu_count != 8 || !machine.usd_per_hour) continue;
    EXPECT_GE(*machine.usd_per_hour, *best.usd_per_hour) << machine.type;
  }
  EXPECT_GT(best.served.tpot, best.served.tpot_bound);
}

TEST(Search, NeverPromisesMoreThanTheLimit) {
  for (const char* name : {"deepseek-r1", "Qwen3-Coder-480B-A35B", "mixtral-8x22b",
                           "deepseek-r1-distill-llama-70b", "deepseek-r1-distill-qwen-7b"}) {
    Objectives objectives = usual();
    objectives.any_vendor = true;
    for (const Plan& plan : ask(name, objectives).plans) {
      const std::string what = name + (" on " + plan_text(*plan.gpu, plan.layout, plan.copies));
      EXPECT_LE(plan.served.tpot_bound, plan.served.tpot) << what;
      EXPECT_LE(plan.served.tpot_bound, likely_tpot(plan.served)) << what;
    }
  }
}

MachineSpec own_host(std::int64_t gpus, std::int64_t count) {
  MachineSpec host;
  host.provider = "on-prem";
  host.type = "node";
  host.gpu = "h200_sxm";
  host.gpu_count = gpus;
  host.machines = count;
  return host;
}

TEST(Search, DividesLayersOverOwnHostsOfAnySize) {
  const Answer answer = search({model_named("deepseek-r1")}, built_in().gpus(), {own_host(4, 2)},
                               usual(), Efficiency{}, engine_profile("bundle"));
  ASSERT_FALSE(answer.plans.empty());
  EXPECT_EQ(answer.plans.front().layout, (Layout{4, 2, 4, 1}));
  EXPECT_EQ(answer.plans.front().machines, 2);
}

TEST(Search, SaysThatMachinesAreTooFew) {
  Objectives objectives = usual();
  objectives.load.concurrency = 4000;
  objectives.tpot.reset();
  const Answer answer = search({model_named("llama-3.1-70b")}, built_in().gpus(), {own_host(8, 2)},
                               objectives, Efficiency{}, engine_profile("bundle"));
  ASSERT_TRUE(answer.plans.empty());
  ASSERT_EQ(answer.unmet.size(), 1u);
  EXPECT_EQ(answer.unmet.front().objective, "machines");
  EXPECT_EQ(answer.unmet.front().best, 16);
  EXPECT_GT(answer.unmet.front().asked, 16);
}

TEST(Search, SaysHowManyUsersTheMostCopiesHold) {
  Objectives objectives = usual();
  objectives.load.concurrency = 1e9;
  const Answer answer = ask("deepseek-r1", objectives);
  ASSERT_TRUE(answer.plans.empty());
  EXPECT_EQ(answer.unmet.front().objective, "concurrency");
  EXPECT_LT(answer.unmet.front().best, 1e9);
}

TEST(Search, HasNoFp8WhereTheRuntimeHasNoCodeForIt) {
  const WeightFormat fp8 = weight_format("fp8").value();
  EXPECT_THAT(unsupported_reason(**built_in().gpu("b300"), fp8), HasSubstr("no code with FP8"));
  EXPECT_EQ(unsupported_reason(**built_in().gpu("h200"), fp8), "");
  EXPECT_EQ(unsupported_reason(**built_in().gpu("b300"), WeightFormat{}), "");
}

TEST(Search, SaysWhatEightH100Lack) {
  const Answer answer = ask("deepseek-r1", usual());
  const auto refusal =
      std::find_if(answer.refusals.begin(), answer.refusals.end(), [](const Refusal& r) {
        return r.gpu->id == "h100_sxm" && r.layout == Layout{8, 1, 8, 1};
      });
  ASSERT_NE(refusal, answer.refusals.end());
  EXPECT_EQ(refusal->kind, Refusal::Kind::kMemory);
  EXPECT_NEAR(static_cast<double>(refusal->missing) / kGiB, 15, 1.5);
  EXPECT_THAT(refusal->reason, HasSubstr("GiB lacking on each GPU"));
}

TEST(Search, GivesEveryDistillWhatItNeeds) {
  struct Expected {
    const char* model;
    std::int64_t most_gpus;
    double most_usd;
  };
  double before = 0;
  for (const Expected& expected : {Expected{"deepseek-r1-distill-qwen-1.5b", 1, 1.0},
                                   {"deepseek-r1-distill-qwen-7b", 1, 2.0},
                                   {"deepseek-r1-distill-llama-8b", 1, 2.0},
                                   {"deepseek-r1-distill-qwen-14b", 2, 3.0},
                                   {"deepseek-r1-distill-qwen-32b", 4, 6.0},
                                   {"deepseek-r1-distill-llama-70b", 8, 15.0}}) {
    const Answer answer = ask(expected.model, usual());
    ASSERT_FALSE(answer.plans.empty()) << expected.model;
    const Plan& best = answer.plans.front();
    EXPECT_LE(best.gpus(), expected.most_gpus) << expected.model;
    ASSERT_TRUE(best.usd_per_hour);
    EXPECT_LE(*best.usd_per_hour, expected.most_usd) << expected.model;
    EXPECT_GE(*best.usd_per_hour, before) << expected.model;
    EXPECT_LE(best.served.tpot, 0.05);
    before = *best.usd_per_hour;
  }
}

TEST(Search, PutsSeventyBillionOnTwoH200OrFourH100) {
  for (const auto& [gpu, count] : {std::pair{"h200_sxm", 2}, {"h100_sxm", 4}}) {
    const std::vector<GpuSpec> one{**built_in().gpu(gpu)};
    const Answer answer = search({model_named("deepseek-r1-distill-llama-70b")}, one, {}, usual(),
                                 Efficiency{}, engine_profile("bundle"));
    ASSERT_FALSE(answer.plans.empty()) << gpu;
    EXPECT_EQ(answer.plans.front().gpus(), count) << gpu;
  }
}

TEST(Search, KeepsToWhatTheRuntimeServes) {
  const Answer answer = ask("deepseek-r1", usual());
  for (const Plan& plan : answer.plans) {
    EXPECT_EQ(plan.gpu->vendor, "NVIDIA");
    EXPECT_GE(plan.gpu->compute_capability, 8.9) << "FP8 on " << plan.gpu->name;
  }
  Objectives any = usual();
  any.any_vendor = true;
  const Answer wider = ask("deepseek-r1", any);
  EXPECT_EQ(wider.plans.front().gpu->vendor, "AMD");  // the cheapest by list price
}

TEST(Search, AddsCopiesForMoreUsers) {
  Objectives many = usual();
  many.load.concurrency = 2000;
  many.context = 4096;
  const Answer answer = ask("llama-3.1-8b", many);
  ASSERT_FALSE(answer.plans.empty());
  for (const Plan& plan : answer.plans) {
    EXPECT_GE(static_cast<double>(plan.kv_tokens * plan.copies), 2000.0 * 4096) << plan.gpu->name;
    EXPECT_LE(plan.served.tpot, 0.05);
  }
}

TEST(Search, FillsCopiesAsFarAsTheirPaceAllows) {
  Objectives objectives = usual();
  objectives.load.concurrency = 0;
  objectives.throughput = 5000;
  const Answer answer = ask("llama-3.1-8b", objectives);
  ASSERT_FALSE(answer.plans.empty());
  for (const Plan& plan : answer.plans) {
    EXPECT_GE(plan.tokens_s, 5000) << plan.gpu->name;
    EXPECT_LE(plan.served.tpot, 0.05) << plan.gpu->name;
  }
}

TEST(Search, NamesTheObjectiveThatNothingMeets) {
  Objectives impossible = usual();
  impossible.tpot = 0.0001;
  const Answer answer = ask("llama-3.3-70b", impossible);
  EXPECT_TRUE(answer.plans.empty());
  const auto tpot = std::find_if(answer.unmet.begin(), answer.unmet.end(),
                                 [](const Unmet& u) { return u.objective == "tpot"; });
  ASSERT_NE(tpot, answer.unmet.end());
  EXPECT_GT(tpot->best, 0.001);
  EXPECT_FALSE(tpot->by.empty());
}

TEST(Search, HoldsTheBudget) {
  Objectives cheap = usual();
  cheap.budget = 20;
  const Answer none = ask("deepseek-r1", cheap);
  ASSERT_TRUE(none.plans.empty());
  const auto budget = std::find_if(none.unmet.begin(), none.unmet.end(),
                                   [](const Unmet& u) { return u.objective == "budget"; });
  ASSERT_NE(budget, none.unmet.end());
  EXPECT_GT(budget->best, 20);
  cheap.budget = budget->best;
  EXPECT_FALSE(ask("deepseek-r1", cheap).plans.empty());
}

TEST(Search, UsesMachinesOnlyAsOftenAsTheyAre) {
  MachineSpec host;
  host.provider = "on-prem";
  host.type = "rack";
  host.gpu = "h100_sxm";
  host.gpu_count = 8;
  host.machines = 1;
  const auto on = [&](std::int64_t hosts) {
    host.machines = hosts;
    return search({model_named("deepseek-r1")}, built_in().gpus(), {host}, usual(), Efficiency{},
                  engine_profile("bundle"));
  };
  EXPECT_TRUE(on(1).plans.empty());
  const Answer two = on(2);
  ASSERT_FALSE(two.plans.empty());
  EXPECT_EQ(two.plans.front().gpus(), 16);
  EXPECT_EQ(two.plans.front().machines, 2);
}

TEST(Search, LooksOnlyWhereItIsTold) {
  Objectives aws = usual();
  aws.clouds = {"aws"};
  const auto answer = ask("llama-3.1-8b", aws);
  for (const Plan& plan : answer.plans) {
    ASSERT_NE(plan.machine, nullptr);
    EXPECT_EQ(plan.machine->provider, "aws");
  }
}

TEST(ParetoFront, HasNothingThatAnotherBeats) {
  const Answer answer = ask("llama-3.3-70b", usual());
  const auto front = pareto_front(answer.plans);
  ASSERT_GE(front.size(), 2u);
  for (const Plan* on_front : front) {
    for (const Plan& plan : answer.plans) {
      if (!plan.usd_per_hour) continue;
      EXPECT_FALSE(*plan.usd_per_hour < *on_front->usd_per_hour &&
                   plan.served.tpot < on_front->served.tpot);
    }
  }
}

TEST(Search, IsTheSameEveryTime) {
  const Answer first = ask("deepseek-v3", usual());
  const Answer second = ask("deepseek-v3", usual());
  ASSERT_EQ(first.plans.size(), second.plans.size());
  for (std::size_t i = 0; i < first.plans.size(); ++i) {
    EXPECT_EQ(first.plans[i].gpu->id, second.plans[i].gpu->id);
    EXPECT_EQ(first.plans[i].layout, second.plans[i].layout);
  }
}

}  // namespace
}  // namespace bundle::sizing
