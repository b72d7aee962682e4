#include "cloud/deployment_spec.h"

#include <gtest/gtest.h>

#include "cloud/history.h"

namespace bundle::cloud {
namespace {

DeploymentSpec sample() {
  DeploymentSpec spec;
  spec.name = "prod";
  spec.target = "ssh";
  spec.bundle = "m:1";
  spec.server = {"/x"};
  spec.environment = {{"A", "b"}};
  spec.secrets = {{"TOKEN", "/f"}};
  spec.labels = {{"team", "x"}};
  spec.resources = {1.5, 1 << 30, 8, "H200", 5, 2};
  spec.scaling = {1, 4, 32, 0, 300, 60, 3000, 100};
  spec.update = {"surge", 100, 2000};
  spec.admin_port = 9000;
  spec.tls = {"/c.pem", "/k.pem", "/ca.pem"};
  spec.access_log = "-";
  spec.weight_bytes = 16'000'000'000;
  spec.settings = JsonObject{{"hosts", JsonArray{"a"}}};
  return spec;
}

TEST(DeploymentSpec, SurvivesJson) {
  const Json json = sample().to_json();
  const auto again = DeploymentSpec::from_json(json, "test");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->to_json(), json);
}

TEST(DeploymentSpec, ReadsWhatAnOlderVersionWrote) {
  const Json old =
      parse_json(
          R"({"name":"a","target":"local","bundle":"b","digest":"","server":["/x"],"launch":{},
          "host":"127.0.0.1","port":0,"api_key_file":"","drain_seconds":30,"environment":{}})",
          "test")
          .value();
  const auto spec = DeploymentSpec::from_json(old, "test");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->scaling, Scaling());
  EXPECT_EQ(spec->resources, Resources());
}

TEST(DeploymentSpec, RefusesWhatNoTargetCanRun) {
  const auto refused = [](auto change) {
    DeploymentSpec spec = sample();
    change(spec);
    return check(spec).has_error();
  };
  EXPECT_FALSE(refused([](DeploymentSpec&) {}));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.name = "../x"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.name = "a;b"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.environment = {{"A=B", "c"}}; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.environment = {{"", "c"}}; }));
  const auto long_value = [](std::size_t bytes) {
    return [bytes](DeploymentSpec& spec) { spec.environment = {{"A", std::string(bytes, 'x')}}; };
  };
  EXPECT_FALSE(refused(long_value((128u << 10) - 3)));  // A, = and a zero byte come with it
  EXPECT_TRUE(refused(long_value((128u << 10) - 2)));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) {
    for (int i = 0; i < 9; ++i) {
      spec.environment.emplace_back("A" + std::to_string(i), std::string(120u << 10, 'x'));
    }
  }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.environment = {{"A", "\xFF"}}; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) {
    spec.environment = {{"A", std::string("a\0b", 3)}};
  }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.scaling.min_replicas = 9; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.resources.nodes = 0; }));
}

TEST(Differences, NameThePathsThatChange) {
  const Json before = JsonObject{{"a", 1}, {"b", JsonObject{{"c", "x"}, {"d", 1}}}, {"e", 1}};
  const Json after = JsonObject{{"a", 1}, {"b", JsonObject{{"c", "y"}, {"d", 1}}}, {"f", 2}};
  const auto changes = differences(before, after);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].path, "b.c");
  EXPECT_EQ(changes[0].before, "x");
  EXPECT_EQ(changes[0].after, "y");
  EXPECT_EQ(changes[1].path, "f");
  EXPECT_EQ(changes[1].before, "");
  EXPECT_EQ(changes[2].path, "e");
  EXPECT_EQ(changes[2].after, "");
  EXPECT_TRUE(differences(after, after).empty());
}

TEST(ReadySeconds, FollowsTheWeights) {
  DeploymentSpec spec;
  EXPECT_EQ(ready_seconds(spec), 60);
  spec.weight_bytes = 688'000'000'000;  // DeepSeek-R1
  EXPECT_EQ(ready_seconds(spec), 60 + 2064);
  spec.update.read_mb_per_second = 6000;
  EXPECT_EQ(ready_seconds(spec), 60 + 172);
  spec.update.ready_seconds = 5;
  EXPECT_EQ(ready_seconds(spec), 5);
}

TEST(History, CountsForgetsAndGoesBack) {
  History history;
  DeploymentSpec spec = sample();
  for (int i = 1; i <= 12; ++i) {
    spec.port = static_cast<std::uint16_t>(i);
    history.add(spec);
  }
  EXPECT_EQ(history.number(), 12);
  EXPECT_EQ(history.revisions.size(), 10u);
  EXPECT_EQ(history.earlier(0)->port, 11);
  EXPECT_EQ(history.earlier(5)->port, 5);
  EXPECT_EQ(history.earlier(1).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(history.is_current(spec));
  const auto again = History::from_json(history.to_json(), "test");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->to_json(), history.to_json());
}

}  // namespace
}  // namespace bundle::cloud
