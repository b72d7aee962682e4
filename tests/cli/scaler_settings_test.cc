#include "cloud/simulate/scaler_settings.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "cli/deployment_file.h"
#include "cloud/kubernetes/manifests.h"
#include "cloud/provider.h"
#include "packager/yaml.h"

namespace bundle::cli {
namespace {

cloud::SimulationResult run_of(const char* policy, int least) {
  cloud::SimulationResult run;
  run.policy = policy;
  run.settings = {.min_replicas = least,
                  .max_replicas = 9,
                  .target = std::string_view(policy) == "skyserve" ? 4.767 : 62,
                  .up_delay_seconds = 30,
                  .down_delay_seconds = 900,
                  .idle_seconds = 240};
  return run;
}

/// What `bundle deploy -f` makes of the settings and `more` of a file, without its bundle.
cloud::DeploymentSpec pasted(const cloud::SimulationResult& run, const char* target,
                             std::string_view more) {
  const Path path = testing::TempDir() + "scaler_settings.yaml";
  EXPECT_TRUE(write_file_atomic(path, cloud::scaler_settings(run) + std::string(more)));
  const auto file = read_deployment_file(path);
  EXPECT_TRUE(file) << file.error().message() << "\n" << cloud::scaler_settings(run);
  cloud::DeploymentSpec spec;
  spec.name = "prod";
  spec.target = target;
  spec.launch = JsonObject{{"name", "m"}, {"model", JsonArray{}}};
  spec.server = {std::string(std::string_view(target) == "aws" ? "/var/lib" : "/tmp") +
                 "/bundle/runtime/bundle-server"};
  JsonObject form = spec.to_json().get_object();
  if (const Json* scaling = file->if_contains("scaling")) form["scaling"] = *scaling;
  if (const Json* section = file->if_contains(target)) form["settings"] = *section;
  auto read = cloud::DeploymentSpec::from_json(form, "pasted");
  EXPECT_TRUE(read) << read.error().message();
  return *read;
}

std::vector<cloud::Manifest> kubernetes_objects(const cloud::DeploymentSpec& spec,
                                                const char* version) {
  JsonObject secrets;
  const auto form = cloud::cluster_form(spec, secrets);
  EXPECT_TRUE(form) << form.error().message();
  const auto features = cloud::features_of_version(version);
  const auto list = cloud::manifests(*form, secrets, {*features, cloud::Rollout::kReplace});
  EXPECT_TRUE(list) << list.error().message();
  return list ? *list : std::vector<cloud::Manifest>();
}

std::string yaml_of(const std::vector<cloud::Manifest>& list, std::string_view kind) {
  for (const cloud::Manifest& one : list) {
    if (one.kind == kind) return one.yaml;
  }
  ADD_FAILURE() << "there is no " << kind;
  return "";
}

std::string file_of(const cloud::DeploymentSpec& spec, std::string_view path) {
  const auto provider = cloud::make_provider({.target = spec.target, .settings = {}});
  EXPECT_TRUE(provider) << provider.error().message();
  const auto files = (*provider)->render(spec);
  EXPECT_TRUE(files) << files.error().message();
  if (!files) return "";
  for (const cloud::RenderedFile& file : *files) {
    if (file.path == path) return file.text;
  }
  ADD_FAILURE() << "there is no " << path;
  return "";
}

void expect_lines(const std::string& text, std::initializer_list<const char*> lines) {
  for (const char* line : lines) {
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << " in\n" << text;
  }
}

TEST(ScalerSettings, AnHpaIsWhatWasSimulated) {
  const auto objects =
      kubernetes_objects(pasted(run_of("hpa", 5), "kubernetes", "  image: r/m@sha256:1\n"), "1.33");
  const std::string yaml = yaml_of(objects, "HorizontalPodAutoscaler");
  expect_lines(yaml, {"  minReplicas: 5", "  maxReplicas: 9", "          averageValue: \"62\""});
  // The windows, and the rules of cloud/simulate/policy.cc: four or double each 15 s, one less a
  // minute.
  EXPECT_EQ(
      yaml.substr(yaml.find("  behavior:\n")),
      "  behavior:\n    scaleUp:\n      stabilizationWindowSeconds: 30\n"
      "      selectPolicy: Max\n      policies:\n"
      "        -\n          type: Percent\n          value: 100\n          periodSeconds: 15\n"
      "        -\n          type: Pods\n          value: 4\n          periodSeconds: 15\n"
      "    scaleDown:\n      stabilizationWindowSeconds: 900\n      policies:\n"
      "        -\n          type: Pods\n          value: 1\n          periodSeconds: 60\n");
}

TEST(ScalerSettings, KedaSleepsAndWakes) {
  const auto objects = kubernetes_objects(
      pasted(run_of("keda", 0), "kubernetes", "  image: r/m@sha256:1\n  hostnames: [m.example]\n"),
      "1.33");
  expect_lines(yaml_of(objects, "ScaledObject"),
               {"  minReplicaCount: 0", "  maxReplicaCount: 9", "  cooldownPeriod: 240"});
  expect_lines(yaml_of(objects, "InterceptorRoute"), {"      targetValue: 62"});
}

TEST(ScalerSettings, KedasSayWhatTheyNeedBesides) {
  EXPECT_NE(cloud::scaler_settings(run_of("keda", 0)).find("# hostnames:"), std::string::npos);
  EXPECT_EQ(cloud::scaler_settings(run_of("keda", 1)).find("# hostnames:"), std::string::npos);
  EXPECT_NE(cloud::scaler_settings(run_of("keda", 1)).find("# prometheus:"), std::string::npos);
  EXPECT_EQ(cloud::scaler_settings(run_of("hpa", 1)).find("# prometheus:"), std::string::npos);
}

TEST(ScalerSettings, TargetTrackingIsTheStacks) {
  const std::string stack = file_of(
      pasted(
          run_of("target-tracking", 2), "aws",
          "aws:\n  source: s3://models/prod\n  machine_image: ami-1\n  instance_type: p5.48xlarge\n"
          "  vpc: vpc-1\n  subnets: [subnet-1, subnet-2]\n"),
      "stack.yaml");
  expect_lines(stack, {"        TargetValue: 62"});
}

TEST(ScalerSettings, SkyServesPolicyIsTheServices) {
  expect_lines(file_of(pasted(run_of("skyserve", 2), "skypilot", "  source: s3://bucket/m\n"),
                       "service.yaml"),
               {"    min_replicas: 2", "    max_replicas: 9", "    target_qps_per_replica: 4.767",
                "    upscale_delay_seconds: 30", "    downscale_delay_seconds: 900"});
}

}  // namespace
}  // namespace bundle::cli
