#include <algorithm>
#include <gtest/gtest.h>

#include "base/file.h"
#include "cloud/kubernetes/manifests.h"
#include "cloud/kubernetes/pod.h"
#include "packager/yaml.h"
#include "tests/templates/hostile_values.h"

namespace bundle::cloud {
namespace {

DeploymentSpec sample() {
  DeploymentSpec spec;
  spec.name = "prod";
  spec.target = "kubernetes";
  spec.bundle = "m:1";
  spec.digest = "sha256:00";
  spec.launch = JsonObject{{"name", "m"}, {"model", JsonArray{}}};
  spec.settings = JsonObject{{"image", "registry.example/m@sha256:1"}, {"namespace", "llm"}};
  spec.weight_bytes = 16'000'000'000;
  return spec;
}

std::vector<Manifest> rendered(const DeploymentSpec& spec, const char* version,
                               Rollout rollout = Rollout::kReplace) {
  JsonObject secrets;
  const auto form = cluster_form(spec, secrets);
  EXPECT_TRUE(form) << form.error().message();
  const auto features = features_of_version(version);
  EXPECT_TRUE(features) << features.error().message();
  const auto list = manifests(*form, secrets, {*features, rollout});
  EXPECT_TRUE(list) << list.error().message();
  return list ? *list : std::vector<Manifest>();
}

const Manifest* find_kind(const std::vector<Manifest>& list, std::string_view kind) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Manifest& one) { return one.kind == kind; });
  return found == list.end() ? nullptr : &*found;
}

TEST(Manifests, AreYamlWithTheirKindAndName) {
  DeploymentSpec spec = sample();
  spec.scaling.max_replicas = 4;
  spec.scaling.target_concurrency = 32;
  spec.settings["hostnames"] = JsonArray{"m.example"};
  spec.settings["gateway"] = "front";
  spec.settings["endpoint_picker"] = "picker";
  for (const Manifest& one : rendered(spec, "1.33")) {
    const auto root = packager::parse_yaml(one.yaml, one.kind);
    ASSERT_TRUE(root) << root.error().message() << "\n" << one.yaml;
    EXPECT_EQ(root->members.at(0).value.text, one.api_version);
    EXPECT_EQ(root->members.at(1).value.text, one.kind);
  }
}

/// `status` and `delete` find a deployment's objects by these.
TEST(Manifests, EveryObjectHasTheDeploymentsLabels) {
  DeploymentSpec spec = sample();
  spec.scaling = {.min_replicas = 2, .max_replicas = 4, .target_concurrency = 32};
  spec.settings["hostnames"] = JsonArray{"m.example"};
  spec.settings["gateway"] = "front";
  spec.settings["endpoint_picker"] = "picker";
  spec.labels = {{"team", "a"}};
  DeploymentSpec group = sample();
  group.resources = {.gpu = 8, .gpu_type = "H200", .nodes = 2};
  DeploymentSpec stateful = group;
  stateful.settings["group"] = "stateful-set";
  for (const DeploymentSpec& one : {spec, group, stateful}) {
    const auto list = rendered(one, "1.33");
    EXPECT_GE(list.size(), 3u);
    for (const Manifest& object : list) {
      const std::size_t end = object.yaml.find("\nspec:");
      const std::string head = object.yaml.substr(0, end);
      EXPECT_NE(head.find("app.kubernetes.io/instance: prod\n"), std::string::npos) << object.yaml;
      EXPECT_NE(head.find("app.kubernetes.io/managed-by: bundle"), std::string::npos)
          << object.yaml;
      const bool own = one.labels.empty() || head.find("team: a") != std::string::npos;
      EXPECT_TRUE(own) << object.yaml;
    }
  }
}

TEST(Manifests, TheServerHasTheBundlesName) {
  const std::string yaml = find_kind(rendered(sample(), "1.33"), "Deployment")->yaml;
  EXPECT_NE(yaml.find("- \"--name\"\n            - m\n"), std::string::npos) << yaml;
}

TEST(Manifests, ARouteSplitsTrafficWithACanary) {
  DeploymentSpec spec = sample();
  spec.settings["gateway"] = "front";
  const std::string alone = find_kind(rendered(spec, "1.33"), "HTTPRoute")->yaml;
  EXPECT_EQ(alone.find("weight"), std::string::npos) << alone;
  spec.settings["canary"] = "prod-next";
  spec.settings["canary_percent"] = 15;
  const std::string both = find_kind(rendered(spec, "1.33"), "HTTPRoute")->yaml;
  const std::size_t own = both.find("weight: 85");
  const std::size_t other = both.find("prod-next");
  EXPECT_NE(own, std::string::npos) << both;
  EXPECT_NE(other, std::string::npos) << both;
  EXPECT_LT(own, other);
  EXPECT_NE(both.find("weight: 15", other), std::string::npos) << both;
  EXPECT_TRUE(packager::parse_yaml(both, "route")) << both;
  // The pods are as they were: only the route changes.
  DeploymentSpec without = spec;
  without.settings.erase("canary");
  EXPECT_EQ(find_kind(rendered(spec, "1.33"), "Deployment")->yaml,
            find_kind(rendered(without, "1.33"), "Deployment")->yaml);
}

TEST(Manifests, ACanaryThatNoRouteCanSplitIsRefused) {
  JsonObject secrets;
  DeploymentSpec spec = sample();
  spec.settings["canary"] = "prod-next";
  EXPECT_EQ(cluster_form(spec, secrets).error().code, ErrorCode::kBadInput) << "no gateway";
  spec.settings["gateway"] = "front";
  EXPECT_TRUE(cluster_form(spec, secrets));
  for (const char* name : {"prod", "x\n  - name: evil", "Prod", "-x", "a b"}) {
    spec.settings["canary"] = name;
    EXPECT_EQ(cluster_form(spec, secrets).error().code, ErrorCode::kBadInput) << name;
  }
  spec.settings["canary"] = "prod-next";
  spec.settings["canary_percent"] = 101;
  EXPECT_EQ(cluster_form(spec, secrets).error().code, ErrorCode::kBadInput);
}

TEST(Manifests, ProbesFollowTheWeights) {
  const auto list = rendered(sample(), "1.33");
  const std::string& yaml = find_kind(list, "Deployment")->yaml;
  EXPECT_NE(yaml.find("failureThreshold: 108\n"), std::string::npos) << yaml;  // 60 + 1.5 x 32 s
  EXPECT_NE(yaml.find("terminationGracePeriodSeconds: 50\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("sleep:"), std::string::npos);
  EXPECT_EQ(find_kind(rendered(sample(), "1.28"), "Deployment")->yaml.find("preStop"),
            std::string::npos);
}

TEST(Manifests, AnAutoscalerOwnsTheReplicas) {
  EXPECT_NE(find_kind(rendered(sample(), "1.33"), "Deployment")->yaml.find("  replicas: 1\n"),
            std::string::npos);
  DeploymentSpec spec = sample();
  spec.scaling.max_replicas = 4;
  const auto list = rendered(spec, "1.33");
  EXPECT_EQ(find_kind(list, "Deployment")->yaml.find("  replicas:"), std::string::npos);
  ASSERT_NE(find_kind(list, "HorizontalPodAutoscaler"), nullptr);
  EXPECT_NE(find_kind(list, "PodDisruptionBudget"), nullptr);
}

TEST(Manifests, FollowTheVersion) {
  DeploymentSpec spec = sample();
  spec.scaling.max_replicas = 4;
  EXPECT_EQ(find_kind(rendered(spec, "1.20.2"), "HorizontalPodAutoscaler")->api_version,
            "autoscaling/v2beta2");
  EXPECT_EQ(find_kind(rendered(spec, "1.20.2"), "PodDisruptionBudget")->api_version,
            "policy/v1beta1");
  EXPECT_EQ(find_kind(rendered(spec, "v1.25+k3s1"), "HorizontalPodAutoscaler")->api_version,
            "autoscaling/v2");
  for (const char* bad : {"", "2.0", "1", "1.x", "one", "1.3", "1.33abc"}) {
    EXPECT_EQ(features_of_version(bad).error().code, ErrorCode::kUsage) << bad;
  }
}

TEST(Features, AreDiscovered) {
  const Json version = JsonObject{{"gitVersion", "v1.20.2"}};
  const auto group = [](const char* name) {
    return JsonObject{{"versions", JsonArray{JsonObject{{"groupVersion", name}}}}};
  };
  const Json groups =
      JsonObject{{"groups", JsonArray{group("autoscaling/v2beta2"), group("policy/v1beta1"),
                                      group("keda.sh/v1alpha1")}}};
  const auto features = features_of_server(version, groups);
  ASSERT_TRUE(features) << features.error().message();
  EXPECT_EQ(features->minor, 20);
  EXPECT_EQ(features->hpa_api, "autoscaling/v2beta2");
  EXPECT_TRUE(features->keda);
  EXPECT_FALSE(features->leader_worker_set);
}

TEST(Manifests, GroupsUseLeaderWorkerSetElseStatefulSets) {
  DeploymentSpec spec = sample();
  spec.resources.nodes = 2;
  spec.resources.gpu = 8;
  spec.resources.gpu_type = "NVIDIA-H100-80GB-HBM3";
  const auto with = rendered(spec, "1.33");
  ASSERT_NE(find_kind(with, "LeaderWorkerSet"), nullptr);
  EXPECT_NE(find_kind(with, "LeaderWorkerSet")->yaml.find("size: 2\n"), std::string::npos);
  spec.settings["group"] = "stateful-set";
  const auto without = rendered(spec, "1.33");
  EXPECT_EQ(find_kind(without, "LeaderWorkerSet"), nullptr);
  const Manifest* set = find_kind(without, "StatefulSet");
  ASSERT_NE(set, nullptr);
  EXPECT_NE(set->yaml.find("prod-0-0.prod-group.llm"), std::string::npos) << set->yaml;
  EXPECT_NE(set->yaml.find("nvidia.com/gpu: \"8\""), std::string::npos) << set->yaml;
}

TEST(Manifests, MachinesOfAGroupHaveASecretAndFindEachOther) {
  DeploymentSpec spec = sample();
  spec.resources.nodes = 2;
  spec.settings["group"] = "stateful-set";
  JsonObject secrets;
  const DeploymentSpec form = *cluster_form(spec, secrets);
  const auto made = [&](const char* version, const char* token) {
    return manifests(form, secrets, {*features_of_version(version), Rollout::kReplace, token});
  };
  const auto fresh = made("1.33", "abc");
  ASSERT_TRUE(fresh) << fresh.error().message();
  const Manifest* secret = find_kind(*fresh, "Secret");
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(secret->name, "prod-group");
  EXPECT_EQ(secret->name, group_secret(form)->name);
  EXPECT_NE(secret->yaml.find("YWJj"), std::string::npos) << secret->yaml;
  const std::string set = find_kind(*fresh, "StatefulSet")->yaml;
  for (const char* part : {"BUNDLE_GROUP_TOKEN", "name: prod-group", "- auto", "LWS_GROUP_SIZE"}) {
    EXPECT_NE(set.find(part), std::string::npos) << part << "\n" << set;
  }
  EXPECT_EQ(find_kind(*made("1.33", ""), "Secret"), nullptr) << "the cluster has it already";
  EXPECT_FALSE(group_secret(sample()));

  // Requests reach the first pods alone.
  const auto service = [](const std::vector<Manifest>& list) {
    for (const Manifest& one : list) {
      if (one.kind == "Service" && one.name == "prod") return one.yaml;
    }
    return std::string();
  };
  EXPECT_NE(service(*fresh).find("apps.kubernetes.io/pod-index: \"0\""), std::string::npos)
      << service(*fresh);
  EXPECT_NE(service(*made("1.25", "")).find("statefulset.kubernetes.io/pod-name: prod-0-0"),
            std::string::npos);
}

TEST(Manifests, TheFirstPodsOfSeveralGroupsNeedALabelOfTheirIndex) {
  DeploymentSpec spec = sample();
  spec.resources.nodes = 2;
  spec.scaling.min_replicas = spec.scaling.max_replicas = 2;
  spec.settings["group"] = "stateful-set";
  JsonObject secrets;
  const DeploymentSpec form = *cluster_form(spec, secrets);
  const ManifestOptions old{*features_of_version("1.25"), Rollout::kReplace, "abc"};
  const auto refused = manifests(form, secrets, old);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("1.28"), std::string::npos);
  const ManifestOptions fine{*features_of_version("1.28"), Rollout::kReplace, "abc"};
  EXPECT_TRUE(manifests(form, secrets, fine));
}

TEST(Manifests, AWorkerIsAskedForNoKeys) {
  const Path file = Path(testing::TempDir()) / "worker-keys";
  ASSERT_TRUE(write_file_atomic(file, "k1\n"));
  DeploymentSpec spec = sample();
  spec.resources.nodes = 2;
  spec.api_key_file = file.string();
  const std::string set = find_kind(rendered(spec, "1.33"), "LeaderWorkerSet")->yaml;
  const auto worker = set.find("workerTemplate:");
  ASSERT_NE(worker, std::string::npos);
  EXPECT_LT(set.find("--api-key-file"), worker);
  EXPECT_EQ(set.find("--api-key-file", worker), std::string::npos) << set;
  EXPECT_NE(set.find("BUNDLE_GROUP_TOKEN", worker), std::string::npos) << set;
}

TEST(Manifests, LabelsOfNodesAndMonitorsHaveTheirForm) {
  for (const char* section : {"node_selector", "monitor_labels"}) {
    for (const char* value : {"a b", "x\ny", "-a", "a/b"}) {
      DeploymentSpec spec = sample();
      spec.settings[section] = JsonObject{{"zone", value}};
      JsonObject secrets;
      const auto form = cluster_form(spec, secrets);
      ASSERT_TRUE(form.has_error()) << section << value;
      EXPECT_EQ(form.error().where, "kubernetes." + std::string(section) + ".zone");
    }
  }
}

TEST(Manifests, ScaleToZeroNeedsSomethingThatCan) {
  DeploymentSpec spec = sample();
  spec.scaling.min_replicas = 0;
  spec.settings["autoscaler"] = "hpa";
  JsonObject secrets;
  const auto form = cluster_form(spec, secrets);
  ASSERT_TRUE(form);
  EXPECT_TRUE(manifests(*form, {}, {*features_of_version("1.33"), Rollout::kReplace}).has_error());
  spec.settings["autoscaler"] = "keda";
  spec.settings["hostnames"] = JsonArray{"m.example"};
  const auto list = rendered(spec, "1.33");
  EXPECT_NE(find_kind(list, "ScaledObject"), nullptr);
  EXPECT_NE(find_kind(list, "InterceptorRoute"), nullptr);
}

TEST(Manifests, WhatSleepsMustHaveSomethingThatWakesIt) {
  DeploymentSpec spec = sample();
  spec.scaling.min_replicas = 0;
  spec.settings["autoscaler"] = "keda";
  spec.settings["prometheus"] = "http://prometheus:9090";
  spec.settings["hostnames"] = JsonArray{"m.example"};
  JsonObject secrets;
  const DeploymentSpec form = cluster_form(spec, secrets).value();
  ClusterFeatures features = features_of_version("1.33").value();
  const auto kinds = manifests(form, {}, {features, Rollout::kReplace}).value();
  EXPECT_LT(find_kind(kinds, "InterceptorRoute"), find_kind(kinds, "ScaledObject"));
  EXPECT_NE(find_kind(kinds, "ScaledObject")->yaml.find("ignoreNullValues: \"true\""),
            std::string::npos);
  features.keda_http = false;
  EXPECT_TRUE(manifests(form, {}, {features, Rollout::kReplace}).has_error());
  features.keda_http = true;
  DeploymentSpec routed = form;
  routed.settings["gateway"] = "front";
  EXPECT_TRUE(manifests(routed, {}, {features, Rollout::kReplace}).has_error());
  routed.scaling.min_replicas = 1;
  features.http_route = false;
  EXPECT_TRUE(manifests(routed, {}, {features, Rollout::kReplace}).has_error());
}

TEST(Manifests, TheLoadOfANeighbourIsNotCounted) {
  DeploymentSpec spec = sample();
  spec.scaling.max_replicas = 4;
  spec.settings["prometheus"] = "http://prometheus:9090";
  const auto list = rendered(spec, "1.33");
  const std::string& yaml = find_kind(list, "ScaledObject")->yaml;
  EXPECT_NE(yaml.find("prod-[a-z0-9]+-[a-z0-9]{5}"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("ignoreNullValues: \"false\""), std::string::npos) << yaml;
}

TEST(Manifests, KeysAndSecretsAreHashedInStateAndEncodedInTheSecret) {
  const Path folder = testing::TempDir();
  ASSERT_TRUE(write_file_atomic(folder / "keys", "k1\nk2\n"));
  ASSERT_TRUE(write_file_atomic(folder / "token", "t0ken\n"));
  DeploymentSpec spec = sample();
  spec.api_key_file = (folder / "keys").string();
  spec.secrets = {{"TOKEN", (folder / "token").string()}};
  JsonObject secrets;
  const auto form = cluster_form(spec, secrets);
  ASSERT_TRUE(form) << form.error().message();
  EXPECT_EQ(secrets.at("TOKEN"), "dDBrZW4=");
  const std::string state = print_json(form->to_json());
  EXPECT_EQ(state.find("t0ken"), std::string::npos);
  EXPECT_EQ(state.find("k1"), std::string::npos);
  const auto list = manifests(*form, secrets, {*features_of_version("1.33"), Rollout::kReplace});
  ASSERT_TRUE(list);
  EXPECT_NE(find_kind(*list, "Secret"), nullptr);
  EXPECT_NE(find_kind(*list, "Deployment")->yaml.find("secretKeyRef"), std::string::npos);
  JsonObject again;
  EXPECT_EQ(cluster_form(*form, again)->to_json(), form->to_json());
}

TEST(Manifests, TlsIsServedFromTheSecret) {
  const Path folder = testing::TempDir();
  ASSERT_TRUE(write_file_atomic(folder / "chain.pem", "certificate"));
  ASSERT_TRUE(write_file_atomic(folder / "key.pem", "private"));
  DeploymentSpec spec = sample();
  spec.tls = {(folder / "chain.pem").string(), (folder / "key.pem").string(), ""};
  spec.access_log = "-";
  const auto list = rendered(spec, "1.33");
  const std::string& pod = find_kind(list, "Deployment")->yaml;
  for (const char* part :
       {"/run/keys/tls-certificate", "/run/keys/tls-key", "--access-log", "mountPath: /run/keys"}) {
    EXPECT_NE(pod.find(part), std::string::npos) << part << "\n" << pod;
  }
  EXPECT_NE(find_kind(list, "Service")->yaml.find("port: 443"), std::string::npos);
  JsonObject secrets;
  const auto form = cluster_form(spec, secrets);
  ASSERT_TRUE(form);
  EXPECT_EQ(secrets.at("tls-key"), "cHJpdmF0ZQ==");
  EXPECT_EQ(print_json(form->to_json()).find("private"), std::string::npos);
  DeploymentSpec renewed = spec;
  ASSERT_TRUE(write_file_atomic(folder / "chain.pem", "renewed"));
  JsonObject fresh;
  EXPECT_NE(cluster_form(renewed, fresh)->to_json(), form->to_json());
}

TEST(Manifests, RefuseWhatKubernetesWould) {
  const auto refused = [](auto change) {
    DeploymentSpec spec = sample();
    change(spec);
    JsonObject secrets;
    return cluster_form(spec, secrets).has_error();
  };
  EXPECT_FALSE(refused([](DeploymentSpec&) {}));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.name = "Prod"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.name = "a.b"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.name = std::string(51, 'a'); }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.labels = {{"a b", "c"}}; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.labels = {{"a", "c\nd"}}; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.settings.erase("image"); }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.settings["weights"] = "claim"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.access_log = "/log"; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.admin_port = 9000; }));
  EXPECT_TRUE(refused([](DeploymentSpec& spec) { spec.tls.certificate = "/c"; })) << "no key";
  EXPECT_TRUE(refused([](DeploymentSpec& spec) {
    spec.tls = {"/c", "/k", ""};
    spec.settings["gateway"] = "g";
  }));
}

TEST(Manifests, HostileVariablesReachThePodAsTheyAre) {
  DeploymentSpec spec = sample();
  int i = 0;
  for (const std::string& value : templates::hostile_values()) {
    spec.environment.emplace_back("V" + std::to_string(i++), value);
  }
  const auto list = rendered(spec, "1.33");
  const auto root = packager::parse_yaml(find_kind(list, "Deployment")->yaml, "test");
  ASSERT_TRUE(root) << root.error().message();
  const auto member = [](const packager::YamlNode& node, std::string_view key) -> const auto& {
    for (const auto& one : node.members) {
      if (one.key.text == key) return one.value;
    }
    throw std::runtime_error("no " + std::string(key));
  };
  const auto& pod = member(member(member(*root, "spec"), "template"), "spec");
  const auto& environment = member(member(pod, "containers").items.at(0), "env");
  ASSERT_EQ(environment.items.size(), spec.environment.size());
  for (std::size_t k = 0; k < environment.items.size(); ++k) {
    std::string value = member(environment.items[k], "value").text;
    for (std::size_t at = 0; (at = value.find("$$", at)) != std::string::npos; ++at) {
      value.erase(at, 1);  // as the kubelet does
    }
    EXPECT_EQ(value, spec.environment[k].second);
  }
}

TEST(Rollout, NeverNeedsMoreGpusThanThereAre) {
  DeploymentSpec spec = sample();
  EXPECT_EQ(choose_rollout(spec, -1), Rollout::kSurge);  // no GPU needed
  spec.resources.gpu = 8;
  EXPECT_EQ(choose_rollout(spec, -1), Rollout::kRecreate);
  EXPECT_EQ(choose_rollout(spec, 0), Rollout::kRecreate);
  EXPECT_EQ(choose_rollout(spec, 1), Rollout::kSurge);
  spec.scaling.max_replicas = 3;
  EXPECT_EQ(choose_rollout(spec, 0), Rollout::kReplace);
  spec.update.strategy = "surge";
  EXPECT_EQ(choose_rollout(spec, 0), Rollout::kSurge);
}

TEST(Pod, TellsWhereItAnswersAndWhatItWaitsFor) {
  const Json pods = parse_json(R"({"items": [
        {"metadata": {"name": "a"}, "status": {"phase": "Running", "podIP": "fd00::1"}},
        {"metadata": {"name": "b", "labels": {"bundle.dev/role": "worker"}},
         "status": {"phase": "Running", "podIP": "10.0.0.2"}},
        {"metadata": {"name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z"},
         "status": {"phase": "Running", "podIP": "10.0.0.3",
                    "containerStatuses": [{"state": {"waiting": {"reason": "Ignored"}}}]}},
        {"metadata": {"name": "d"},
         "status": {"phase": "Pending",
                    "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}
      ]})",
                               "pods")
                        .value();
  const JsonArray& items = pods.at("items").get_array();
  EXPECT_EQ(replica_of(sample(), items[0]).url, "http://[fd00::1]:8000");
  EXPECT_EQ(replica_of(sample(), items[1]).url, "");
  EXPECT_EQ(replica_of(sample(), items[2]).state, kEnding);
  EXPECT_EQ(started_pods(pods), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(trouble_of(pods), "; d: ImagePullBackOff");
}

TEST(Pod, WarningsThatTellComeBeforeThoseOfProbes) {
  const auto event = [](int second, const char* reason) {
    return JsonObject{{"type", "Warning"},
                      {"reason", reason},
                      {"message", "m"},
                      {"lastTimestamp", "2026-01-01T00:00:0" + std::to_string(second) + "Z"},
                      {"involvedObject", JsonObject{{"name", "prod-1"}}}};
  };
  JsonArray list = {event(2, "Failed"), event(1, "BackOff")};
  for (int i = 3; i < 9; ++i) list.push_back(event(i, "Unhealthy"));
  EXPECT_EQ(warnings_of(JsonObject{{"items", list}}, "prod"),
            (std::vector<std::string>{"prod-1: BackOff: m", "prod-1: Failed: m"}));
  list.erase(list.begin(), list.begin() + 2);
  EXPECT_EQ(warnings_of(JsonObject{{"items", list}}, "prod").size(), 5u);
}

}  // namespace
}  // namespace bundle::cloud
