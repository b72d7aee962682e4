#include "cloud/kubernetes/manifests.h"

#include <algorithm>
#include <cctype>
#include <regex>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/file.h"
#include "base/sha256.h"
#include "cloud/server_options.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr std::uint16_t kAdminPort = 9090;
constexpr int kPreStop = 5;
constexpr int kGraceMargin = 15;
constexpr std::size_t kLongestName = 50;  // room for what controllers append, in 63
constexpr std::int64_t kDefaultConcurrency = 16;
constexpr std::int64_t kCanaryPercent = 10;
constexpr std::uint64_t kMostSecretBytes = 1u << 20;

std::string text(const JsonObject& settings, std::string_view key, std::string fallback = {}) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : fallback;
}

JsonObject object(const JsonObject& settings, std::string_view key) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : JsonObject();
}

JsonArray words(std::initializer_list<std::string> list) {
  JsonArray array;
  for (const std::string& word : list) array.emplace_back(word);
  return array;
}

// ---- checks --------------------------------------------------------------------------------

bool is_dns_label(std::string_view name) {
  const auto ok = [](char c) {
    return std::islower(static_cast<unsigned char>(c)) != 0 ||
           std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-';
  };
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), ok) &&
         std::isalpha(static_cast<unsigned char>(name.front())) != 0 && name.back() != '-';
}

/// The forms of label keys and values; a slash parts a key's DNS prefix from its name.
Status check_label(const std::string& section, const std::string& key, const std::string& value) {
  static const std::regex key_form(
      "([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
      "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?");
  static const std::regex value_form("([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?");
  const bool fits = key.size() <= 317 && value.size() <= 63 && std::regex_match(key, key_form) &&
                    std::regex_match(value, value_form);
  if (fits) return {};
  return bad_input("Kubernetes takes no label '" + key + "' with this value", section + "." + key,
                   "Use at most 63 letters, digits, '.', '_' and '-'.");
}

Status check_cluster_form(const DeploymentSpec& spec) {
  if (!is_dns_label(spec.name)) {
    return bad_input(
        "'" + spec.name + "' is no name for a deployment on Kubernetes", "name",
        "Use lower-case letters, digits and '-', at most 50, beginning with a letter.");
  }
  for (const auto& [key, value] : spec.labels) BUNDLE_CHECK(check_label("labels", key, value));
  for (const char* section : {"node_selector", "monitor_labels"}) {
    for (const auto& [key, value] : object(spec.settings, section)) {
      BUNDLE_CHECK(check_label("kubernetes." + std::string(section), std::string(key),
                               value.is_string() ? std::string(value.get_string()) : ""));
    }
  }
  if (text(spec.settings, "image").empty()) {
    return bad_input("no image is named for Kubernetes", "kubernetes.image",
                     "Push the bundle ('bundle push') and name it: kubernetes: {image: "
                     "registry/name@sha256:…}.");
  }
  const std::string weights = text(spec.settings, "weights", "image");
  const char* needs = weights == "claim"    ? "claim"
                      : weights == "volume" ? "weights_image"
                                            : nullptr;
  if (needs != nullptr && text(spec.settings, needs).empty()) {
    return bad_input("'kubernetes.weights: " + weights + "' needs 'kubernetes." + needs + "'",
                     "kubernetes.weights");
  }
  return {};
}

// ---- values --------------------------------------------------------------------------------

JsonObject standard_labels(const DeploymentSpec& spec) {
  JsonObject labels{{"app.kubernetes.io/name", "bundle"},
                    {"app.kubernetes.io/instance", spec.name},
                    {"app.kubernetes.io/managed-by", "bundle"}};
  for (const auto& [key, value] : spec.labels) labels[key] = value;
  return labels;
}

JsonObject selector_of(const DeploymentSpec& spec) {
  return {{"app.kubernetes.io/name", "bundle"}, {"app.kubernetes.io/instance", spec.name}};
}

JsonObject with_role(JsonObject labels, const char* role) {
  labels["bundle.dev/role"] = role;
  return labels;
}

std::string secret_name(const DeploymentSpec& spec) {
  std::string hashes = spec.api_key_file;
  if (spec.tls.on()) hashes += "\n" + spec.tls.certificate + spec.tls.key + spec.tls.client_ca;
  for (const auto& [name, hash] : spec.secrets) hashes += '\n' + name + '=' + hash;
  return spec.name + "-" + sha256_hex(hashes).substr(0, 10);
}

/// Files that the server reads out of the Secret.
bool has_files(const DeploymentSpec& spec) { return !spec.api_key_file.empty() || spec.tls.on(); }

bool has_secrets(const DeploymentSpec& spec) { return has_files(spec) || !spec.secrets.empty(); }

/// "--set key=value" for what the deployment sets over the bundle's own settings.
void add_settings(const JsonObject& overrides, const std::string& prefix, JsonArray& arguments) {
  for (const auto& [key, value] : overrides) {
    const std::string path = prefix + std::string(key);
    if (value.is_object()) {
      add_settings(value.get_object(), path + ".", arguments);
      continue;
    }
    arguments.emplace_back("--set");
    arguments.emplace_back(
        path + "=" + (value.is_string() ? std::string(value.get_string()) : print_json(value)));
  }
}

bool is_group(const DeploymentSpec& spec) { return spec.resources.nodes > 1; }

JsonArray server_arguments(const DeploymentSpec& spec, const ServerFiles& files) {
  JsonArray arguments = words({"--host", "0.0.0.0", "--port", "8000", "--admin-host", "0.0.0.0"});
  for (const std::string& word : name_option(spec)) arguments.emplace_back(word);
  for (const std::string& word : server_options(spec, files, kAdminPort)) {
    arguments.emplace_back(word);
  }
  if (is_group(spec)) {
    for (const char* word : {"--nodes", "auto"}) arguments.emplace_back(word);
  }
  add_settings(spec.overrides, "", arguments);
  return arguments;
}

std::string group_secret_name(const DeploymentSpec& spec) { return spec.name + "-group"; }

/// LeaderWorkerSet sets these itself; a StatefulSet's pods get them in the same form. A pod's index
/// is a label from 1.28 on; before that its name, which ends in the index, stands for it.
void add_group_environment(const DeploymentSpec& spec, const ClusterFeatures& features,
                           const std::string& group, JsonArray& environment) {
  const char* index =
      features.minor >= 28 ? "metadata.labels['apps.kubernetes.io/pod-index']" : "metadata.name";
  environment.push_back(
      JsonObject{{"name", "LWS_LEADER_ADDRESS"},
                 {"value", group + "-0." + spec.name + "-group." + namespace_of(spec.settings)}});
  environment.push_back(
      JsonObject{{"name", "LWS_GROUP_SIZE"}, {"value", std::to_string(spec.resources.nodes)}});
  environment.push_back(
      JsonObject{{"name", "LWS_WORKER_INDEX"},
                 {"valueFrom", JsonObject{{"fieldRef", JsonObject{{"fieldPath", index}}}}}});
}

JsonArray environment_of(const DeploymentSpec& spec) {
  JsonArray environment;
  for (const auto& [name, value] : spec.environment) {
    // The kubelet expands $(NAME) in values; a doubled $ keeps it as it is.
    std::string kept;
    for (const char c : value) kept.append(c == '$' ? 2 : 1, c);
    environment.push_back(JsonObject{{"name", name}, {"value", kept}});
  }
  for (const auto& [name, unused] : spec.secrets) {
    environment.push_back(JsonObject{
        {"name", name},
        {"valueFrom",
         JsonObject{{"secretKeyRef", JsonObject{{"name", secret_name(spec)}, {"key", name}}}}}});
  }
  if (is_group(spec)) {
    environment.push_back(JsonObject{
        {"name", "BUNDLE_GROUP_TOKEN"},
        {"valueFrom", JsonObject{{"secretKeyRef", JsonObject{{"name", group_secret_name(spec)},
                                                             {"key", "token"}}}}}});
  }
  return environment;
}

std::string milli_cores(double cores) {
  return std::to_string(static_cast<std::int64_t>(cores * 1000)) + "m";
}

JsonObject resources_of(const DeploymentSpec& spec) {
  const Resources& wanted = spec.resources;
  JsonObject requests;
  JsonObject limits;
  if (wanted.cpu > 0) requests["cpu"] = milli_cores(wanted.cpu);
  // Weights lie in the page cache or on GPUs; a gibibyte is for the program itself.
  const std::int64_t floor = wanted.gpu > 0
                                 ? std::int64_t{8} << 30
                                 : static_cast<std::int64_t>(spec.weight_bytes) + (1 << 30);
  requests["memory"] = std::to_string(wanted.memory > 0 ? wanted.memory : floor);
  if (wanted.memory > 0) limits["memory"] = std::to_string(wanted.memory);
  if (wanted.gpu > 0) limits["nvidia.com/gpu"] = std::to_string(wanted.gpu);
  if (wanted.disk > 0) requests["ephemeral-storage"] = std::to_string(wanted.disk);
  JsonObject resources{{"requests", std::move(requests)}};
  if (!limits.empty()) resources["limits"] = std::move(limits);
  return resources;
}

JsonObject node_selector(const DeploymentSpec& spec) {
  JsonObject selector = object(spec.settings, "node_selector");
  if (spec.resources.gpu > 0 && !spec.resources.gpu_type.empty()) {
    selector["nvidia.com/gpu.product"] = spec.resources.gpu_type;
  }
  return selector;
}

Json weights_volume(const DeploymentSpec& spec) {
  const std::string kind = text(spec.settings, "weights", "image");
  if (kind == "claim") {
    return JsonObject{
        {"name", "weights"},
        {"persistentVolumeClaim",
         JsonObject{{"claimName", text(spec.settings, "claim")}, {"readOnly", true}}}};
  }
  if (kind == "volume") {
    return JsonObject{{"name", "weights"},
                      {"image", JsonObject{{"reference", text(spec.settings, "weights_image")},
                                           {"pullPolicy", "IfNotPresent"}}}};
  }
  return false;
}

JsonObject strategy_of(Rollout rollout) {
  if (rollout == Rollout::kRecreate) return {{"type", "Recreate"}};
  const bool surge = rollout == Rollout::kSurge;
  return {{"type", "RollingUpdate"},
          {"rollingUpdate",
           JsonObject{{"maxSurge", surge ? 1 : 0}, {"maxUnavailable", surge ? 0 : 1}}}};
}

/// How fast an autoscaler may go: up by doubling, down by one after the delay.
JsonObject behavior_of(const Scaling& scaling) {
  const auto policy = [](const char* type, int value, int seconds) {
    return JsonObject{{"type", type}, {"value", value}, {"periodSeconds", seconds}};
  };
  return {
      {"scaleUp",
       JsonObject{{"stabilizationWindowSeconds", std::min(3600, scaling.scale_up_delay_seconds)},
                  {"selectPolicy", "Max"},
                  {"policies", JsonArray{policy("Percent", 100, 15), policy("Pods", 4, 15)}}}},
      {"scaleDown",
       JsonObject{{"stabilizationWindowSeconds", std::min(3600, scaling.scale_down_delay_seconds)},
                  {"policies", JsonArray{policy("Pods", 1, 60)}}}}};
}

bool uses_leader_worker_set(const DeploymentSpec& spec, const ClusterFeatures& features) {
  return is_group(spec) && features.leader_worker_set &&
         text(spec.settings, "group", "auto") != "stateful-set";
}

/// Which scaler owns the number of replicas: "hpa", "keda" or "none".
std::string autoscaler_of(const DeploymentSpec& spec, const ClusterFeatures& features) {
  if (!spec.scaling.is_automatic()) return "none";
  const std::string asked = text(spec.settings, "autoscaler", "auto");
  if (asked != "auto") return asked;
  const bool keda = features.keda &&
                    (!text(spec.settings, "prometheus").empty() || spec.scaling.min_replicas == 0);
  return keda ? "keda" : "hpa";
}

JsonArray string_array(const JsonObject& settings, std::string_view key) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : JsonArray();
}

/// One object that the HTTPRoute sends requests to.
JsonObject route_backend(const DeploymentSpec& spec, const std::string& name) {
  if (text(spec.settings, "endpoint_picker").empty()) return {{"name", name}, {"port", 80}};
  return {{"group", "inference.networking.k8s.io"}, {"kind", "InferencePool"}, {"name", name}};
}

/// The deployment's own, and beside it the canary's with weights.
JsonArray route_backends(const DeploymentSpec& spec) {
  JsonObject own = route_backend(spec, spec.name);
  const std::string canary = text(spec.settings, "canary");
  if (canary.empty()) return {std::move(own)};
  JsonObject other = route_backend(spec, canary);
  const std::int64_t percent =
      get_int_or(spec.settings, "canary_percent", kCanaryPercent, "kubernetes").value();
  own["weight"] = 100 - percent;
  other["weight"] = percent;
  return {std::move(own), std::move(other)};
}

JsonObject common_values(const DeploymentSpec& spec, const ManifestOptions& options) {
  const JsonObject& settings = spec.settings;
  const std::string autoscaler = autoscaler_of(spec, options.features);
  const int pre_stop = options.features.pre_stop_sleep() ? kPreStop : 0;
  const int start = ready_seconds(spec);
  // Not moved from in the list below, which reads its values only when it is whole.
  const JsonObject labels = standard_labels(spec);
  JsonObject pod_labels = is_group(spec) ? with_role(labels, "leader") : labels;
  JsonObject monitor_labels = labels;
  for (const auto& [key, value] : object(settings, "monitor_labels")) monitor_labels[key] = value;
  return {{"name", spec.name},
          {"namespace", namespace_of(settings)},
          {"labels", labels},
          {"pod_labels", std::move(pod_labels)},
          {"worker_labels", with_role(labels, "worker")},
          {"selector", selector_of(spec)},
          {"service_selector",
           is_group(spec) ? with_role(selector_of(spec), "leader") : selector_of(spec)},
          {"monitor_labels", std::move(monitor_labels)},
          {"pod_annotations", JsonObject{{"bundle.dev/digest", spec.digest}}},
          {"image", text(settings, "image")},
          {"arguments", server_arguments(spec, files_in("/run/keys", spec))},
          {"worker_arguments", server_arguments(spec, {})},
          {"environment", environment_of(spec)},
          {"resources", resources_of(spec)},
          {"gpu", spec.resources.gpu},
          {"group", is_group(spec)},
          {"nodes", spec.resources.nodes},
          {"node_selector", node_selector(spec)},
          {"priority_class", text(settings, "priority_class")},
          {"pull_secret", text(settings, "image_pull_secret")},
          {"weights_volume", weights_volume(spec)},
          {"shm_size", spec.resources.gpu > 1 ? "16Gi" : "1Gi"},
          {"keys_secret", has_files(spec) ? secret_name(spec) : ""},
          {"service_port_name", scheme_of(spec)},
          {"service_port", spec.tls.on() ? 443 : 80},
          {"start_seconds", start},
          {"start_duration", std::to_string(start) + "s"},
          {"progress_seconds", start + 600},
          {"pre_stop_seconds", pre_stop},
          {"grace_seconds", pre_stop + spec.drain_seconds + kGraceMargin},
          {"replicas_fixed", autoscaler == "none"},
          {"replicas", spec.scaling.min_replicas},
          {"strategy", strategy_of(options.rollout)},
          {"surge", options.rollout == Rollout::kSurge ? 1 : 0},
          {"group_service", spec.name + "-group"},
          {"service_type", text(settings, "service_type", "ClusterIP")},
          {"secret_name", secret_name(spec)},
          {"pdb_api", options.features.pdb_api},
          {"hpa_api", options.features.hpa_api},
          {"hosts", string_array(settings, "hostnames")},
          {"gateway", text(settings, "gateway")},
          {"picker", text(settings, "endpoint_picker")},
          {"backends", route_backends(spec)}};
}

void add_scaling_values(const DeploymentSpec& spec, const ManifestOptions& options,
                        JsonObject& values) {
  const Scaling& scaling = spec.scaling;
  const std::int64_t target =
      scaling.target_concurrency > 0 ? scaling.target_concurrency : kDefaultConcurrency;
  const bool lws = uses_leader_worker_set(spec, options.features);
  values["scale_target"] =
      JsonObject{{"apiVersion", lws ? "leaderworkerset.x-k8s.io/v1" : "apps/v1"},
                 {"kind", lws ? "LeaderWorkerSet" : "Deployment"},
                 {"name", spec.name}};
  values["min_replicas"] = scaling.min_replicas;
  values["max_replicas"] = scaling.max_replicas;
  values["fallback_replicas"] = std::max(1, scaling.min_replicas);
  values["target"] = target;
  values["target_text"] = std::to_string(target);
  values["metric_name"] = text(spec.settings, "metric", "bundle_requests_in_flight");
  values["metric_labels"] = JsonObject{{"deployment", spec.name}};
  values["behavior"] = behavior_of(scaling);
  values["idle_seconds"] = scaling.idle_seconds;
  values["to_zero"] = scaling.min_replicas == 0 && options.features.keda_http;
  values["prometheus"] = text(spec.settings, "prometheus");
  // Not those of NAME-next: leaders end with a number, a Deployment's pods with two hashes.
  const std::string names = spec.name + (is_group(spec) ? "-[0-9]+" : "-[a-z0-9]+-[a-z0-9]{5}");
  const std::string pods =
      "{namespace=\"" + namespace_of(spec.settings) + "\",pod=~\"" + names + "\"}";
  values["query"] =
      "sum(vllm:num_requests_running" + pods + ") + sum(vllm:num_requests_waiting" + pods + ")";
}

JsonArray allowed_sources(const DeploymentSpec& spec) {
  JsonArray sources;
  for (const Json& range : string_array(spec.settings, "allow_from")) {
    sources.push_back(JsonObject{{"ipBlock", JsonObject{{"cidr", range}}}});
  }
  return sources;
}

/// Collects rendered objects.
class Builder {
 public:
  Builder(const DeploymentSpec& spec, const JsonObject& values) : spec_(spec), values_(values) {}

  Status add(const char* file, std::string api_version, const char* kind, const char* plural,
             std::string name) {
    BUNDLE_TRY(std::string yaml, templates::render("kubernetes/" + std::string(file), values_));
    list_.push_back({std::move(api_version), kind, plural, namespace_of(spec_.settings),
                     std::move(name), std::move(yaml)});
    return {};
  }
  std::vector<Manifest> take() { return std::move(list_); }

 private:
  const DeploymentSpec& spec_;
  const JsonObject& values_;
  std::vector<Manifest> list_;
};

Status add_stateful_sets(const DeploymentSpec& spec, const ManifestOptions& options,
                         JsonObject& values, Builder& builder) {
  BUNDLE_CHECK(
      builder.add("group-service.yaml", "v1", "Service", "services", spec.name + "-group"));
  for (int i = 0; i < spec.scaling.max_replicas; ++i) {
    const std::string group = spec.name + "-" + std::to_string(i);
    JsonObject selector = selector_of(spec);
    selector["bundle.dev/group"] = std::to_string(i);
    JsonObject labels = standard_labels(spec);
    labels["bundle.dev/group"] = std::to_string(i);
    JsonArray environment = environment_of(spec);
    add_group_environment(spec, options.features, group, environment);
    values["group_name"] = group;
    values["group_selector"] = std::move(selector);
    values["pod_labels"] = std::move(labels);
    values["environment"] = std::move(environment);
    BUNDLE_CHECK(builder.add("stateful-set.yaml", "apps/v1", "StatefulSet", "statefulsets", group));
  }
  return {};
}

/// Pod 0 of each group alone answers clients. It has a label of its index from 1.28 on; before that
/// one with its own name, which cannot name several pods.
Result<JsonObject> first_pods(const DeploymentSpec& spec, const ClusterFeatures& features) {
  JsonObject selector = selector_of(spec);
  if (features.minor >= 28) {
    selector["apps.kubernetes.io/pod-index"] = "0";
  } else if (spec.scaling.max_replicas == 1) {
    selector["statefulset.kubernetes.io/pod-name"] = spec.name + "-0-0";
  } else {
    return bad_input(
        "a Service cannot tell the first pods of several groups before Kubernetes 1.28", "scaling",
        "Install LeaderWorkerSet, or deploy one replica.");
  }
  return selector;
}

Status add_workload(const DeploymentSpec& spec, const ManifestOptions& options, JsonObject& values,
                    Builder& builder) {
  if (!is_group(spec)) {
    return builder.add("deployment.yaml", "apps/v1", "Deployment", "deployments", spec.name);
  }
  if (uses_leader_worker_set(spec, options.features)) {
    return builder.add("leader-worker-set.yaml", "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet",
                       "leaderworkersets", spec.name);
  }
  if (spec.scaling.is_automatic()) {
    return bad_input("a StatefulSet group cannot be scaled by load", "scaling",
                     "Install LeaderWorkerSet, or set min_replicas and max_replicas alike.");
  }
  BUNDLE_TRY(values["service_selector"], first_pods(spec, options.features));
  return add_stateful_sets(spec, options, values, builder);
}

/// What holds requests while the first pod starts; before the scaler, whose trigger names it.
Status add_waker(const DeploymentSpec& spec, const ManifestOptions& options, Builder& builder) {
  if (!options.features.keda_http) {
    return bad_input("nothing would wake the deployment: KEDA's HTTP add-on is not installed",
                     "scaling.min_replicas", "Install the add-on, or set min_replicas to 1.");
  }
  if (string_array(spec.settings, "hostnames").empty()) {
    return bad_input("the add-on knows by no name which requests are the deployment's",
                     "kubernetes.hostnames", "Name the host names that clients ask for.");
  }
  if (!text(spec.settings, "gateway").empty()) {
    return bad_input(
        "an HTTPRoute to the pods does not wake a deployment that sleeps", "kubernetes.gateway",
        "Leave it out and route to the add-on's interceptor, or set scaling.min_replicas to 1.");
  }
  return builder.add("interceptor-route.yaml", "http.keda.sh/v1beta1", "InterceptorRoute",
                     "interceptorroutes", spec.name);
}

Status add_scaler(const DeploymentSpec& spec, const ManifestOptions& options, Builder& builder) {
  const std::string autoscaler = autoscaler_of(spec, options.features);
  if (autoscaler == "none") return {};
  if (autoscaler == "hpa") {
    if (spec.scaling.min_replicas == 0 && !options.features.scale_to_zero()) {
      return bad_input(
          "this cluster's HPA cannot scale to zero", "scaling.min_replicas",
          "It needs Kubernetes 1.37 or KEDA; or set min_replicas to 1, or "
          "kubernetes.autoscaler to none and let 'bundle gateway --wake' scale it up.");
    }
    return builder.add("horizontal-pod-autoscaler.yaml", options.features.hpa_api,
                       "HorizontalPodAutoscaler", "horizontalpodautoscalers", spec.name);
  }
  const bool trigger = !text(spec.settings, "prometheus").empty() ||
                       (spec.scaling.min_replicas == 0 && options.features.keda_http);
  if (!trigger) {
    return bad_input("KEDA has no metric to scale on", "kubernetes.prometheus",
                     "Name the address of Prometheus.");
  }
  if (spec.scaling.min_replicas == 0) BUNDLE_CHECK(add_waker(spec, options, builder));
  return builder.add("scaled-object.yaml", "keda.sh/v1alpha1", "ScaledObject", "scaledobjects",
                     spec.name);
}

Status add_routes(const DeploymentSpec& spec, const ManifestOptions& options, Builder& builder) {
  if (!text(spec.settings, "endpoint_picker").empty()) {
    if (!options.features.inference_pool) {
      return bad_input("the cluster has no InferencePool", "kubernetes.endpoint_picker",
                       "Install the Gateway API inference extension, or leave the key out.");
    }
    BUNDLE_CHECK(builder.add("inference-pool.yaml", "inference.networking.k8s.io/v1",
                             "InferencePool", "inferencepools", spec.name));
  }
  if (text(spec.settings, "gateway").empty()) return {};
  if (!options.features.http_route) {
    return bad_input("the cluster has no HTTPRoute", "kubernetes.gateway",
                     "Install the Gateway API, or leave the key out.");
  }
  return builder.add("http-route.yaml", "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes",
                     spec.name);
}

/// A canary is a backend of the route beside the deployment's own.
Status check_route_canary(const DeploymentSpec& spec) {
  const std::string canary = text(spec.settings, "canary");
  if (canary.empty()) return {};
  if (!is_dns_label(canary) || canary == spec.name) {
    return bad_input("no other deployment is named", "kubernetes.canary",
                     "Deploy the new revision under a name of its own, and write that.");
  }
  const auto percent = get_int_or(spec.settings, "canary_percent", kCanaryPercent, "kubernetes");
  if (!percent || *percent < 0 || *percent > 100) {
    return bad_input("'kubernetes.canary_percent' is not from 0 to 100");
  }
  if (!text(spec.settings, "gateway").empty()) return {};
  return bad_input("a canary's part is decided by an HTTPRoute", "kubernetes.canary",
                   "Name the Gateway that it attaches to: kubernetes.gateway.");
}

/// What a pod cannot be given of the ways to reach its server.
Status check_access(const DeploymentSpec& spec) {
  BUNDLE_CHECK(refuse_log_file(spec, "a pod"));
  if (spec.admin_port != 0 && spec.admin_port != kAdminPort) {
    return bad_input("a pod's admin port is " + std::to_string(kAdminPort), "admin_port",
                     "Leave it out: probes and scrapers find it by its name.");
  }
  if (!spec.tls.on()) return {};
  for (const char* key : {"gateway", "endpoint_picker"}) {
    if (text(spec.settings, key).empty()) continue;
    return bad_input("TLS ends at the Gateway, which speaks to pods without it",
                     "kubernetes." + std::string(key), "Give the certificate to its listener.");
  }
  if (spec.scaling.min_replicas > 0) return {};
  return bad_input("what wakes a sleeping deployment speaks to pods without TLS", "tls",
                   "Set scaling.min_replicas to 1, or end TLS before it.");
}

/// Hash in the place of a value that must not be shown; host files are read once.
Result<std::string> put_secret(const std::string& key, const std::string& source, bool trim,
                               JsonObject& secret_data) {
  if (source.starts_with("sha256:")) return source;
  BUNDLE_TRY(std::string value, read_file(source, kMostSecretBytes));
  while (trim && !value.empty() && value.back() == '\n') value.pop_back();
  secret_data[key] = base64_encode(value);
  return "sha256:" + sha256_hex(value).substr(0, 16);
}

}  // namespace

std::string namespace_of(const JsonObject& settings) {
  return text(settings, "namespace", "default");
}

Result<DeploymentSpec> cluster_form(const DeploymentSpec& spec, JsonObject& secret_data) {
  BUNDLE_CHECK(check(spec));
  BUNDLE_CHECK(check_cluster_form(spec));
  BUNDLE_CHECK(check_access(spec));
  BUNDLE_CHECK(check_route_canary(spec));
  DeploymentSpec form = spec;
  form.server.clear();
  form.launch = JsonObject();
  if (const Json* name = spec.launch.if_contains("name")) form.launch["name"] = *name;
  if (!spec.api_key_file.empty()) {
    BUNDLE_TRY(form.api_key_file, put_secret("api-keys", spec.api_key_file, false, secret_data));
  }
  for (const auto& [key, source] :
       {std::pair("tls-certificate", &form.tls.certificate), std::pair("tls-key", &form.tls.key),
        std::pair("tls-client-ca", &form.tls.client_ca)}) {
    if (source->empty()) continue;
    BUNDLE_TRY(*source, put_secret(key, *source, false, secret_data));
  }
  for (auto& [name, source] : form.secrets) {
    BUNDLE_TRY(source, put_secret(name, source, true, secret_data));
  }
  return form;
}

Result<std::vector<Manifest>> manifests(const DeploymentSpec& spec, const JsonObject& secret_data,
                                        const ManifestOptions& options) {
  const bool image_volume = text(spec.settings, "weights", "image") == "volume";
  if (image_volume && !options.features.image_volumes()) {
    return bad_input("Kubernetes 1." + std::to_string(options.features.minor) +
                         " drops image volumes without a word",
                     "kubernetes.weights", "It needs 1.35; use 'image' or 'claim'.");
  }
  JsonObject values = common_values(spec, options);
  values["allow_from"] = allowed_sources(spec);
  add_scaling_values(spec, options, values);
  Builder builder(spec, values);
  if (has_secrets(spec) && !secret_data.empty()) {
    values["secret_data"] = secret_data;
    BUNDLE_CHECK(builder.add("secret.yaml", "v1", "Secret", "secrets", secret_name(spec)));
  }
  if (is_group(spec) && !options.group_token.empty()) {
    values["secret_name"] = group_secret_name(spec);
    values["secret_data"] = JsonObject{{"token", base64_encode(options.group_token)}};
    BUNDLE_CHECK(builder.add("secret.yaml", "v1", "Secret", "secrets", group_secret_name(spec)));
  }
  BUNDLE_CHECK(builder.add("network-policy.yaml", "networking.k8s.io/v1", "NetworkPolicy",
                           "networkpolicies", spec.name));
  BUNDLE_CHECK(add_workload(spec, options, values, builder));
  BUNDLE_CHECK(builder.add("service.yaml", "v1", "Service", "services", spec.name));
  if (spec.scaling.max_replicas > 1) {
    BUNDLE_CHECK(builder.add("pod-disruption-budget.yaml", options.features.pdb_api,
                             "PodDisruptionBudget", "poddisruptionbudgets", spec.name));
  }
  BUNDLE_CHECK(add_scaler(spec, options, builder));
  if (options.features.pod_monitor) {
    BUNDLE_CHECK(builder.add("pod-monitor.yaml", "monitoring.coreos.com/v1", "PodMonitor",
                             "podmonitors", spec.name));
  }
  BUNDLE_CHECK(add_routes(spec, options, builder));
  return builder.take();
}

std::optional<Manifest> group_secret(const DeploymentSpec& spec) {
  if (!is_group(spec)) return std::nullopt;
  return Manifest{"v1", "Secret", "secrets", namespace_of(spec.settings), group_secret_name(spec),
                  ""};
}

Result<Manifest> history_manifest(const DeploymentSpec& spec, const History& history) {
  const std::string name = spec.name + "-revisions";
  BUNDLE_TRY(std::string yaml, templates::render("kubernetes/history.yaml",
                                                 {{"history_name", name},
                                                  {"namespace", namespace_of(spec.settings)},
                                                  {"labels", standard_labels(spec)},
                                                  {"history", print_json(history.to_json())}}));
  return Manifest{"v1", "ConfigMap",    "configmaps", namespace_of(spec.settings),
                  name, std::move(yaml)};
}

Rollout choose_rollout(const DeploymentSpec& spec, std::int64_t spare) {
  const std::string& asked = spec.update.strategy;
  if (asked == "surge" || asked == "blue-green") return Rollout::kSurge;
  if (asked == "recreate") return Rollout::kRecreate;
  if (spec.resources.gpu == 0 || spare > 0) return Rollout::kSurge;
  return spec.scaling.max_replicas > 1 ? Rollout::kReplace : Rollout::kRecreate;
}

std::string rollout_reason(const DeploymentSpec& spec, std::int64_t spare, Rollout rollout) {
  const std::string free = spare < 0 ? "how many GPUs are free is not known"
                                     : std::to_string(spare) + " more replicas would fit now";
  if (spec.update.strategy != "auto") return "the strategy was asked for; " + free;
  switch (rollout) {
    case Rollout::kSurge:
      return spec.resources.gpu == 0 ? "surge: a replica needs no GPU"
                                     : "surge: " + free + ", so the new one starts beside the old";
    case Rollout::kReplace:
      return "one replica at a time goes before its successor starts: " + free;
    case Rollout::kRecreate:
      return "recreate: one replica, and " + free + "; the endpoint waits while it is replaced";
  }
  return free;
}

}  // namespace bundle::cloud
