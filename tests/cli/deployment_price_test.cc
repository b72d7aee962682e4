#include "cli/deployment_price.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

catalog::Catalog prices() {
  auto catalog = catalog::Catalog::built_in().value();
  const auto added = catalog.merge(parse_json(R"({"instances": [
        {"provider": "cloud-a", "instance_type": "a8", "gpu": "h200_sxm", "gpu_count": 8,
         "on_demand_usd_per_hour": 8.0, "spot_usd_per_hour": 4.0, "price_region": "r1",
         "price_as_of": "2026-11-01", "source": "test"},
        {"provider": "on-prem", "instance_type": "rack", "gpu": "h200_sxm", "gpu_count": 4,
         "on_demand_usd_per_hour": 10.0, "source": "test"}]})",
                                              "test")
                                       .value(),
                                   "test");
  EXPECT_TRUE(added) << added.error().message();
  return catalog;
}

cloud::DeploymentSpec spec_of(const std::string& target, int gpus, int least, int most) {
  cloud::DeploymentSpec spec;
  spec.name = "prod";
  spec.target = target;
  spec.resources.gpu = gpus;
  spec.resources.gpu_type = "h200";
  spec.scaling.min_replicas = least;
  spec.scaling.max_replicas = most;
  return spec;
}

TEST(DeploymentPrice, AwsIsPricedByItsMachine) {
  cloud::DeploymentSpec spec = spec_of("aws", 8, 1, 3);
  spec.settings["instance_type"] = "a8";
  const auto cost = cost_of(spec, prices());
  ASSERT_TRUE(cost);
  EXPECT_DOUBLE_EQ(cost->usd_per_replica_hour, 8);
  EXPECT_DOUBLE_EQ(cost->least_usd_per_hour, 8);
  EXPECT_DOUBLE_EQ(cost->most_usd_per_hour, 24);
  EXPECT_EQ(cost->origin, "cloud-a a8, r1, 2026-11-01");
  spec.settings["instance_type"] = "unheard-of";
  EXPECT_FALSE(cost_of(spec, prices()));
}

TEST(DeploymentPrice, SpotCountsAboveTheBase) {
  cloud::DeploymentSpec spec = spec_of("aws", 8, 1, 3);
  spec.settings = {{"instance_type", "a8"}, {"spot", true}, {"on_demand_base", 1}};
  const auto cost = cost_of(spec, prices());
  ASSERT_TRUE(cost);
  EXPECT_DOUBLE_EQ(cost->least_usd_per_hour, 8);
  EXPECT_DOUBLE_EQ(cost->most_usd_per_hour, 8 + 2 * 4);
  EXPECT_DOUBLE_EQ(cost->spot_usd_per_replica_hour.value_or(0), 4);
}

TEST(DeploymentPrice, AClusterSharesMachinesAndACloudSellsThemWhole) {
  const auto cluster = cost_of(spec_of("kubernetes", 2, 2, 2), prices());
  ASSERT_TRUE(cluster);
  EXPECT_DOUBLE_EQ(cluster->usd_per_replica_hour, 2);
  EXPECT_EQ(cluster->origin, "cheapest of the catalogue: cloud-a a8, r1, 2026-11-01");
  const auto sky = cost_of(spec_of("skypilot", 2, 1, 1), prices());
  ASSERT_TRUE(sky);
  EXPECT_LE(sky->usd_per_replica_hour, 8);
  cloud::DeploymentSpec two_hosts = spec_of("kubernetes", 8, 1, 1);
  two_hosts.resources.nodes = 2;
  EXPECT_DOUBLE_EQ(cost_of(two_hosts, prices())->usd_per_replica_hour, 16);
}

TEST(DeploymentPrice, OwnMachinesCostWhatTheirOwnerSays) {
  const auto cost = cost_of(spec_of("ssh", 4, 1, 1), prices());
  ASSERT_TRUE(cost);
  EXPECT_DOUBLE_EQ(cost->usd_per_replica_hour, 10);
  EXPECT_FALSE(cost_of(spec_of("ssh", 8, 1, 1), prices())) << "no own machine has so many";
  EXPECT_FALSE(cost_of(spec_of("ssh", 4, 1, 1), catalog::Catalog::built_in().value()));
  EXPECT_FALSE(cost_of(spec_of("kubernetes", 0, 1, 1), prices())) << "no GPU";
}

TEST(DeploymentPrice, IsToldBesideThatOfWhatRuns) {
  const cloud::DeploymentSpec running = spec_of("kubernetes", 8, 1, 1);
  cloud::DeploymentPlan plan;
  set_cost(plan, spec_of("kubernetes", 8, 2, 4), &running, prices());
  ASSERT_TRUE(plan.cost);
  EXPECT_DOUBLE_EQ(plan.cost->least_before.value_or(0), 8);
  EXPECT_DOUBLE_EQ(plan.cost->most_usd_per_hour, 32);
  set_cost(plan, spec_of("kubernetes", 8, 2, 4), nullptr, prices());
  EXPECT_FALSE(plan.cost->least_before);
}

}  // namespace
}  // namespace bundle::cli
