#include "cloud/systemd/host_gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cloud/systemd/placement.h"
#include "cloud/systemd/units.h"

namespace bundle::cloud {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

DeploymentSpec with_gpus(const std::string& name, int gpus, int replicas = 1) {
  DeploymentSpec spec;
  spec.name = name;
  spec.target = "ssh";
  spec.server = {"/bin/true"};
  spec.resources.gpu = gpus;
  spec.scaling.min_replicas = spec.scaling.max_replicas = replicas;
  return spec;
}

DeploymentSpec placed(DeploymentSpec spec, const std::vector<DeploymentSpec>& others,
                      std::size_t hosts = 1) {
  choose_gpus(others, nullptr, hosts, spec);
  return spec;
}

TEST(HostGpus, AreCountedWithTheirMemoryInUse) {
  const HostGpus gpus = parse_host_gpus("count 2\n 70123\n0\n");
  EXPECT_EQ(gpus.count, 2);
  EXPECT_THAT(gpus.memory_mib, ElementsAre(70123, 0));
}

TEST(HostGpus, OutputThatIsNoneCountsForNothing) {
  EXPECT_EQ(parse_host_gpus("").count, 0);
  EXPECT_EQ(parse_host_gpus("count -3\n").count, 0);
  EXPECT_EQ(parse_host_gpus("count 99999999999999999999\n").count, 0);
  EXPECT_EQ(parse_host_gpus("count 7000000\n").count, 1024);
  EXPECT_TRUE(parse_host_gpus("No devices were found\n[N/A]\n-4\n").memory_mib.empty());
}

TEST(HostGpus, NoTwoDeploymentsShareOne) {
  const DeploymentSpec first = placed(with_gpus("a", 2), {});
  const DeploymentSpec second = placed(with_gpus("b", 4), {first});
  const DeploymentSpec third = placed(with_gpus("c", 1), {first, second});
  EXPECT_EQ(gpu_range(first, 1).first, 0);
  EXPECT_EQ(gpu_range(second, 1).first, 2);
  EXPECT_EQ(gpu_range(third, 1).first, 6);
  EXPECT_EQ(gpu_range(placed(with_gpus("d", 2), {second, third}), 1).first, 0);
}

TEST(HostGpus, AGapThatIsTooSmallIsLeft) {
  DeploymentSpec high = with_gpus("a", 2);
  high.settings["first_gpu"] = 1;
  EXPECT_EQ(gpu_range(placed(with_gpus("b", 2), {high}), 1).first, 3);
}

TEST(HostGpus, AnUpdateKeepsItsPlaceUnlessAnotherHasIt) {
  DeploymentSpec before = with_gpus("a", 2);
  before.settings["first_gpu"] = 4;
  DeploymentSpec next = with_gpus("a", 2);
  choose_gpus({}, &before, 1, next);
  EXPECT_EQ(gpu_range(next, 1).first, 4);
  DeploymentSpec other = with_gpus("b", 1);
  other.settings["first_gpu"] = 5;
  choose_gpus({other}, &before, 1, next);
  EXPECT_EQ(gpu_range(next, 1).first, 0);
}

TEST(HostGpus, ReplicasOfAHostHaveTheirOwn) {
  const DeploymentSpec spec = placed(with_gpus("a", 2, 3), {placed(with_gpus("b", 1), {})}, 2);
  EXPECT_EQ(gpu_range(spec, 2).count, 4);
  const auto replicas = place_replicas(spec, 2);
  EXPECT_EQ(replicas[0].gpu, 1);
  EXPECT_EQ(replicas[1].gpu, 1);
  EXPECT_EQ(replicas[2].gpu, 3);
  const auto unit = service_unit(spec, replicas[2], "/var/lib/bundle");
  ASSERT_TRUE(unit) << unit.error().message();
  EXPECT_THAT(*unit, HasSubstr("CUDA_VISIBLE_DEVICES=3,4\""));
  EXPECT_THAT(*unit, HasSubstr("CUDA_DEVICE_ORDER=PCI_BUS_ID\""));
}

TEST(HostGpus, ADeploymentThatChoosesItselfIsLeftAlone) {
  DeploymentSpec spec = with_gpus("a", 2);
  spec.environment = {{"CUDA_VISIBLE_DEVICES", "6,7"}};
  EXPECT_EQ(gpu_range(placed(spec, {}), 1).count, 0);
  const auto unit = service_unit(spec, place_replicas(spec, 1).at(0), "/var/lib/bundle");
  ASSERT_TRUE(unit) << unit.error().message();
  EXPECT_THAT(*unit, HasSubstr("CUDA_VISIBLE_DEVICES=6,7\""));
  EXPECT_THAT(*unit, Not(HasSubstr("CUDA_DEVICE_ORDER")));
}

TEST(HostGpus, TooFewAreRefusedWithWhoHasThem) {
  const DeploymentSpec first = placed(with_gpus("a", 6), {});
  const DeploymentSpec second = placed(with_gpus("b", 4), {first});
  EXPECT_TRUE(check_gpus({10, {}}, "node1", gpu_range(second, 1), {first}));
  const Status refused = check_gpus({8, {}}, "node1", gpu_range(second, 1), {first});
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().where, "node1");
  EXPECT_EQ(refused.error().what,
            "the host has 8 GPUs, and this deployment needs 4 beside those of 'a'");
  EXPECT_EQ(check_gpus({0, {}}, "node1", gpu_range(first, 1), {}).error().what,
            "the host has 0 GPUs, and this deployment needs 6");
}

TEST(HostGpus, QuadletsOfSeveralReplicasNameTheirOwn) {
  DeploymentSpec spec = with_gpus("a", 1, 2);
  spec.bundle = "m:1";
  const auto second = quadlet(spec, place_replicas(spec, 1).at(1));
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_THAT(*second, HasSubstr("AddDevice=nvidia.com/gpu=1\n"));
  spec.scaling.min_replicas = 1;
  const auto only = quadlet(spec, place_replicas(spec, 1).at(0));
  EXPECT_THAT(*only, HasSubstr("AddDevice=nvidia.com/gpu=all\n"));
}

}  // namespace
}  // namespace bundle::cloud
