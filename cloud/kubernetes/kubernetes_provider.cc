#include "cloud/kubernetes/kubernetes_provider.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/text.h"
#include "base/url.h"
#include "cloud/kubernetes/api.h"
#include "cloud/kubernetes/object.h"
#include "cloud/kubernetes/pod.h"
#include "cloud/merged_log.h"
#include "cloud/server_options.h"
#include "cloud/status.h"

namespace bundle::cloud {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll{500};
constexpr char kOwner[] = "app.kubernetes.io/managed-by=bundle";

std::string instance_selector(std::string_view deployment) {
  return "?labelSelector=" +
         percent_encode("app.kubernetes.io/instance=" + std::string(deployment) + "," + kOwner);
}

ClusterAccess access_of(const JsonObject& settings) {
  ClusterAccess access;
  const Json* value = settings.if_contains("access");
  if (value == nullptr) return access;
  access.server = text_at(*value, {"server"});
  access.ca_file = text_at(*value, {"ca_file"});
  access.token = text_at(*value, {"token"});
  access.cert_file = text_at(*value, {"cert_file"});
  access.key_file = text_at(*value, {"key_file"});
  const Json* insecure = find(*value, "insecure");
  access.insecure = insecure != nullptr && insecure->is_bool() && insecure->get_bool();
  return access;
}

/// 256 bits, as hex digits.
std::string random_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 64; ++i) token += "0123456789abcdef"[random() % 16];
  return token;
}

/// The specification without how this machine reaches the cluster.
DeploymentSpec without_access(DeploymentSpec spec) {
  for (const char* key : {"access", "kubeconfig", "context", "version"}) spec.settings.erase(key);
  return spec;
}

/// One cluster and namespace.
class Cluster {
 public:
  Cluster(KubernetesApi api, std::string space) : api_(std::move(api)), space_(std::move(space)) {}

  const KubernetesApi& api() const { return api_; }
  const std::string& space() const { return space_; }

  Result<std::optional<History>> find_history(std::string_view deployment) const {
    const Manifest record{
        "v1", "ConfigMap", "configmaps", space_, std::string(deployment) + "-revisions", ""};
    BUNDLE_TRY(const Json object, api_.find_object(record));
    if (object.is_null()) return std::optional<History>();
    BUNDLE_TRY(const Json document,
               parse_json(text_at(object, {"data", "history.json"}), "ConfigMap " + record.name));
    BUNDLE_TRY(History history, History::from_json(document, "ConfigMap " + record.name));
    return std::optional(std::move(history));
  }

  Result<History> history(std::string_view deployment) const {
    BUNDLE_TRY(auto found, find_history(deployment));
    if (found) return *std::move(found);
    return not_found("there is no deployment '" + std::string(deployment) + "'",
                     "namespace " + space_, "'bundle status --target kubernetes' lists them.");
  }

  Status save(const DeploymentSpec& spec, const History& history) const {
    BUNDLE_TRY(const Manifest record, history_manifest(spec, history));
    BUNDLE_CHECK(api_.apply(record, false));
    return {};
  }

  /// A secret for a deployment's groups; "": they need none, or have one, which stays.
  Result<std::string> new_group_token(const DeploymentSpec& spec) const {
    const auto secret = group_secret(spec);
    if (!secret) return std::string();
    BUNDLE_TRY(const Json present, api_.find_object(*secret));
    return present.is_null() ? random_token() : std::string();
  }

  /// How many more replicas the free GPUs of nodes could hold; -1 when it cannot be told.
  std::int64_t spare_replicas(const DeploymentSpec& spec) const {
    if (spec.resources.gpu == 0) return -1;
    const auto nodes = api_.get("/api/v1/nodes");
    const auto pods = api_.get("/api/v1/pods");
    if (!nodes || !pods) return -1;
    std::int64_t spare = 0;
    for (const Json& node : items_of(*nodes)) {
      const std::string product = text_at(node, {"metadata", "labels", "nvidia.com/gpu.product"});
      if (!spec.resources.gpu_type.empty() && product != spec.resources.gpu_type) continue;
      const std::int64_t all = number_at(node, {"status", "allocatable", "nvidia.com/gpu"});
      const std::int64_t used = gpus_used(*pods, text_at(node, {"metadata", "name"}));
      spare += std::max<std::int64_t>(0, all - used) / spec.resources.gpu;
    }
    return spare / spec.resources.nodes;
  }

 private:
  static std::int64_t gpus_used(const Json& pods, const std::string& node) {
    std::int64_t used = 0;
    for (const Json& pod : items_of(pods)) {
      const std::string phase = text_at(pod, {"status", "phase"});
      if (text_at(pod, {"spec", "nodeName"}) != node || phase == "Succeeded" || phase == "Failed") {
        continue;
      }
      const Json* spec = find(pod, "spec");
      const Json* containers = spec == nullptr ? nullptr : find(*spec, "containers");
      if (containers == nullptr || !containers->is_array()) continue;
      for (const Json& container : containers->get_array()) {
        used += number_at(container, {"resources", "limits", "nvidia.com/gpu"});
      }
    }
    return used;
  }

  KubernetesApi api_;
  std::string space_;
};

/// Where a workload stands, in one form for its three kinds.
struct Progressing {
  std::int64_t wanted = 0;
  std::int64_t updated = 0;
  std::int64_t ready = 0;
  bool seen = false;    // the controller has read the newest specification
  std::string failure;  // its own words, when it has given up

  bool done() const { return seen && updated >= wanted && ready >= wanted; }
};

Progressing progress_of(const Json& object) {
  Progressing now;
  const Json* replicas = find(object.at("spec"), "replicas");
  now.wanted = replicas == nullptr ? 1 : number_at(object, {"spec", "replicas"});
  now.updated = number_at(object, {"status", "updatedReplicas"});
  now.ready = number_at(object, {"status", "readyReplicas"});
  now.seen = number_at(object, {"status", "observedGeneration"}) >=
             number_at(object, {"metadata", "generation"});
  // A Deployment may count ready replicas of an older generation.
  if (number_at(object, {"status", "replicas"}) > now.updated) now.ready = 0;
  const Json* status = find(object, "status");
  const Json* conditions = status == nullptr ? nullptr : find(*status, "conditions");
  if (conditions == nullptr || !conditions->is_array()) return now;
  for (const Json& condition : conditions->get_array()) {
    if (text_at(condition, {"reason"}) == "ProgressDeadlineExceeded") {
      now.failure = text_at(condition, {"message"});
    }
  }
  return now;
}

bool is_workload(const Manifest& manifest) {
  return manifest.kind == "Deployment" || manifest.kind == "StatefulSet" ||
         manifest.kind == "LeaderWorkerSet";
}

class KubernetesProvider final : public Provider {
 public:
  explicit KubernetesProvider(JsonObject settings) : settings_(std::move(settings)) {}

  std::string_view name() const override { return "kubernetes"; }

  Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const override {
    BUNDLE_TRY(const ClusterFeatures features, features_to_render());
    JsonObject secrets;
    BUNDLE_TRY(const DeploymentSpec form, cluster_form(without_access(spec), secrets));
    const Rollout rollout = choose_rollout(form, -1);
    const std::string token = group_secret(form) ? random_token() : "";
    BUNDLE_TRY(auto list, manifests(form, secrets, {features, rollout, token}));
    std::vector<RenderedFile> files;
    for (Manifest& one : list) {
      std::string kind = one.kind;
      std::transform(kind.begin(), kind.end(), kind.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      files.push_back({kind + "-" + one.name + ".yaml", std::move(one.yaml)});
    }
    return files;
  }

  Result<DeploymentPlan> plan(const DeploymentSpec& spec) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const ClusterFeatures features, cluster.api().features());
    JsonObject secrets;
    BUNDLE_TRY(const DeploymentSpec form, cluster_form(without_access(spec), secrets));
    BUNDLE_TRY(const auto before, cluster.find_history(spec.name));
    const std::int64_t spare = cluster.spare_replicas(form);
    const Rollout rollout = choose_rollout(form, spare);
    BUNDLE_TRY(const std::string token, cluster.new_group_token(form));
    BUNDLE_TRY(const auto list, manifests(form, secrets, {features, rollout, token}));
    DeploymentPlan plan;
    plan.deployment = spec.name;
    const bool same = before && before->is_current(form);
    plan.revision = (before ? before->number() : 0) + (same ? 0 : 1);
    for (const Manifest& one : list) BUNDLE_CHECK(plan_object(cluster, one, plan));
    plan.changes = !same || before->pending || !plan.steps.empty();
    if (!plan.changes) {
      plan.steps = {"nothing: revision " + std::to_string(plan.revision) + " is applied"};
      return plan;
    }
    if (before) plan.differences = differences(before->current().spec.to_json(), form.to_json());
    plan.notes.push_back(rollout_reason(form, spare, rollout));
    plan.notes.push_back("a pod may take " + std::to_string(ready_seconds(form)) + " s to load " +
                         human_bytes(form.weight_bytes) + " of weights");
    if (form.resources.nodes > 1 && !features.leader_worker_set) {
      plan.notes.emplace_back("LeaderWorkerSet is not installed: groups become StatefulSets");
    }
    return plan;
  }

  Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    JsonObject secrets;
    BUNDLE_TRY(const DeploymentSpec form, cluster_form(without_access(spec), secrets));
    return install(cluster, form, secrets, progress);
  }

  Result<DeploymentStatus> status(std::string_view deployment) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.history(deployment));
    return describe(cluster, history);
  }

  Result<std::vector<DeploymentStatus>> list() const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const Json maps,
               cluster.api().get(collection_path("v1", cluster.space(), "configmaps") +
                                 "?labelSelector=" + percent_encode(kOwner)));
    std::vector<DeploymentStatus> all;
    for (const Json& map : items_of(maps)) {
      const std::string name = text_at(map, {"metadata", "labels", "app.kubernetes.io/instance"});
      BUNDLE_TRY(DeploymentStatus one, status(name));
      all.push_back(std::move(one));
    }
    return all;
  }

  Result<DeploymentSpec> specification(std::string_view deployment,
                                       std::int64_t revision) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.history(deployment));
    return revision == 0 ? history.current().spec : history.earlier(revision);
  }

  Status logs(std::string_view deployment, const LogOptions& options,
              const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_CHECK(cluster.history(deployment));
    BUNDLE_TRY(const Json pods, pods_of(cluster, deployment));
    if (options.follow) return follow_logs(cluster, deployment, options, sink);
    const std::vector<std::string> started = started_pods(pods);
    if (started.size() == 1) return read_log(cluster, started.front(), options, sink);
    if (started.empty()) return not_found("no pod has started yet", "namespace " + cluster.space());
    for (const std::string& pod : started) {
      std::string rest;
      BUNDLE_CHECK(read_log(cluster, pod, options, [&](std::string_view piece) {
        return sink(named_lines(pod, piece, rest));
      }));
    }
    return {};
  }

  Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                    const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.history(deployment));
    BUNDLE_TRY(const DeploymentSpec spec, history.earlier(revision));
    return install(cluster, spec, {}, progress);
  }

  /// Those of pods: for a gateway or a picker inside the cluster's network.
  Result<std::vector<std::string>> endpoints(std::string_view deployment) const override {
    BUNDLE_TRY(const DeploymentStatus now, status(deployment));
    std::vector<std::string> urls;
    for (const ReplicaStatus& replica : now.replicas) {
      if (!replica.url.empty() && replica.state != kEnding) urls.push_back(replica.url);
    }
    return urls;
  }

  /// As `kubectl rollout restart` does, under a field manager of its own: what apply owns, and with
  /// it the next plan, does not change.
  Result<DeploymentStatus> restart(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.history(deployment));
    BUNDLE_TRY(const ClusterFeatures features, cluster.api().features());
    const DeploymentSpec& spec = history.current().spec;
    const Rollout rollout = choose_rollout(spec, cluster.spare_replicas(spec));
    BUNDLE_TRY(const auto list, manifests(spec, {}, {features, rollout, ""}));
    for (const Manifest& one : list) {
      if (is_workload(one)) BUNDLE_CHECK(cluster.api().restart(one));
    }
    for (const Manifest& one : list) {
      if (is_workload(one)) BUNDLE_CHECK(wait(cluster, spec, one, progress));
    }
    return describe(cluster, history);
  }

  Status remove(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.history(deployment));
    BUNDLE_TRY(const ClusterFeatures features, cluster.api().features());
    for (const auto& [api_version, plural] : removable(features)) {
      BUNDLE_CHECK(remove_kind(cluster, deployment, api_version, plural, progress));
    }
    // The record goes last: a removal that was cut off can be found and run again.
    return cluster.api().remove(collection_path("v1", cluster.space(), "configmaps") + "/" +
                                std::string(deployment) + "-revisions");
  }

 private:
  Result<Cluster> connect() const {
    ClusterAccess access = access_of(settings_);
    if (access.server.empty()) {
      return Error{ErrorCode::kUsage, "no cluster is named", "",
                   "Set KUBECONFIG, or kubernetes.kubeconfig in deployment.yaml."};
    }
    return Cluster(KubernetesApi(std::move(access)), namespace_of(settings_));
  }

  /// The version that was asked for, else the server's, else the newest known.
  Result<ClusterFeatures> features_to_render() const {
    BUNDLE_TRY(const std::string version, get_string_or(settings_, "version", "", "kubernetes"));
    if (!version.empty()) return features_of_version(version);
    ClusterAccess access = access_of(settings_);
    if (access.server.empty()) return features_of_version("1.37");
    return KubernetesApi(std::move(access)).features();
  }

  static Result<Json> pods_of(const Cluster& cluster, std::string_view deployment) {
    return cluster.api().get(collection_path("v1", cluster.space(), "pods") +
                             instance_selector(deployment));
  }

  static Status read_log(const Cluster& cluster, const std::string& pod, const LogOptions& options,
                         const LogSink& sink) {
    return cluster.api().stream(collection_path("v1", cluster.space(), "pods") + "/" + pod +
                                    "/log?tailLines=" + std::to_string(options.lines) +
                                    (options.follow ? "&follow=true" : ""),
                                sink);
  }

  /// Pods come and go while a log is followed: those of an update too.
  static Status follow_logs(const Cluster& cluster, std::string_view deployment,
                            const LogOptions& options, const LogSink& sink) {
    MergedLog log(sink);
    while (log.wanted()) {
      const auto pods = pods_of(cluster, deployment);
      for (const std::string& pod : pods ? started_pods(*pods) : std::vector<std::string>()) {
        if (log.has(pod)) continue;
        log.add(pod, [&cluster, pod, options](const LogSink& into) {
          return read_log(cluster, pod, options, into);
        });
      }
      std::this_thread::sleep_for(kPoll);
    }
    return {};
  }

  /// Adds what applying one object would do. The server itself works it out.
  static Status plan_object(const Cluster& cluster, const Manifest& manifest,
                            DeploymentPlan& plan) {
    BUNDLE_TRY(const Json present, cluster.api().find_object(manifest));
    BUNDLE_TRY(const Json after, cluster.api().apply(manifest, true));
    const std::string what = manifest.kind + " " + manifest.name;
    if (present.is_null()) {
      plan.steps.push_back("create " + what);
    } else if (comparable(present) != comparable(after)) {
      plan.steps.push_back("change " + what);
    }
    return {};
  }

  /// An object without what the server changes by itself.
  static Json comparable(const Json& object) {
    Json copy = object;
    copy.get_object().erase("status");
    if (Json* metadata = copy.get_object().if_contains("metadata")) {
      for (const char* key : {"managedFields", "resourceVersion", "generation"}) {
        metadata->get_object().erase(key);
      }
    }
    return copy;
  }

  static Result<DeploymentStatus> install(const Cluster& cluster, const DeploymentSpec& spec,
                                          const JsonObject& secrets, const Progress& progress) {
    BUNDLE_TRY(const ClusterFeatures features, cluster.api().features());
    BUNDLE_TRY(const auto before, cluster.find_history(spec.name));
    const Rollout rollout = choose_rollout(spec, cluster.spare_replicas(spec));
    BUNDLE_TRY(const std::string token, cluster.new_group_token(spec));
    BUNDLE_TRY(const auto list, manifests(spec, secrets, {features, rollout, token}));
    for (const Manifest& one : list) BUNDLE_CHECK(cluster.api().apply(one, true));
    History next = before.value_or(History{});
    if (!next.is_current(spec)) next.add(spec);
    next.pending = true;
    BUNDLE_CHECK(cluster.save(spec, next));
    Status done;
    for (const Manifest& one : list) {
      done = put(cluster, one, progress);
      if (!done) break;
    }
    for (const Manifest& one : list) {
      if (done && is_workload(one)) done = wait(cluster, spec, one, progress);
    }
    if (!done) return explained(before, next, done.error());
    next.pending = false;
    BUNDLE_CHECK(cluster.save(spec, next));
    return describe(cluster, next);
  }

  static Status put(const Cluster& cluster, const Manifest& manifest, const Progress& progress) {
    if (progress && !progress("applying " + manifest.kind + " " + manifest.name, 0, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped while objects were applied"};
    }
    BUNDLE_CHECK(cluster.api().apply(manifest, false));
    return {};
  }

  static Error explained(const std::optional<History>& before, const History& next, Error error) {
    error.remedy += "\nRevision " + std::to_string(next.number()) +
                    " is marked as not finished. Run the same 'bundle deploy' again";
    error.remedy += before ? ", or 'bundle rollback " + next.current().spec.name + " --to " +
                                 std::to_string(before->number()) + "'."
                           : ", or 'bundle delete " + next.current().spec.name + "'.";
    return error;
  }

  static Status wait(const Cluster& cluster, const DeploymentSpec& spec, const Manifest& workload,
                     const Progress& progress) {
    const auto deadline =
        Clock::now() + std::chrono::seconds((ready_seconds(spec) + spec.drain_seconds + 60) *
                                            std::max(1, spec.scaling.min_replicas));
    for (;;) {
      BUNDLE_TRY(const Json object, cluster.api().get(object_path(workload)));
      const Progressing now = progress_of(object);
      if (now.done()) return {};
      if (!now.failure.empty()) return told(cluster, spec, now.failure);
      if (Clock::now() > deadline) return told(cluster, spec, "the pods were not ready in time");
      const auto pods = pods_of(cluster, spec.name);
      const std::string stage = workload.kind + " " + workload.name + ": " +
                                std::to_string(now.ready) + " of " + std::to_string(now.wanted) +
                                " ready" + (progress && pods ? trouble_of(*pods) : "");
      if (progress && !progress(stage, 0, 0)) {
        return Error{ErrorCode::kInterrupted, "stopped while pods were starting"};
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  /// What the cluster says of a deployment that does not come up: events and last log lines.
  static Error told(const Cluster& cluster, const DeploymentSpec& spec, const std::string& what) {
    Error error = failed(what, "namespace " + cluster.space());
    const auto events = cluster.api().get(collection_path("v1", cluster.space(), "events"));
    if (events) {
      for (const std::string& line : warnings_of(*events, spec.name)) {
        error.remedy += (error.remedy.empty() ? "The cluster said:\n" : "\n") + line;
      }
    }
    const auto pods = pods_of(cluster, spec.name);
    if (!pods) return error;
    for (const Json& pod : items_of(*pods)) {
      std::string log;
      const std::string path = collection_path("v1", cluster.space(), "pods") + "/" +
                               text_at(pod, {"metadata", "name"}) + "/log?tailLines=8";
      const Status read = cluster.api().stream(path, [&](std::string_view piece) {
        log += piece.substr(0, 4096);
        return log.size() < 65536;
      });
      if (read && !log.empty()) {
        error.remedy += "\n" + text_at(pod, {"metadata", "name"}) + " printed:\n" + log;
        break;
      }
    }
    return error;
  }

  using Kind = std::pair<std::string, std::string>;  // API version and plural

  /// Everything that a deployment may have made, what sends traffic first.
  static std::vector<Kind> removable(const ClusterFeatures& features) {
    std::vector<Kind> kinds;
    if (features.keda_http) kinds.emplace_back("http.keda.sh/v1beta1", "interceptorroutes");
    if (features.keda) kinds.emplace_back("keda.sh/v1alpha1", "scaledobjects");
    kinds.emplace_back(features.hpa_api, "horizontalpodautoscalers");
    if (features.http_route) kinds.emplace_back("gateway.networking.k8s.io/v1", "httproutes");
    if (features.inference_pool) {
      kinds.emplace_back("inference.networking.k8s.io/v1", "inferencepools");
    }
    if (features.pod_monitor) kinds.emplace_back("monitoring.coreos.com/v1", "podmonitors");
    if (features.leader_worker_set) {
      kinds.emplace_back("leaderworkerset.x-k8s.io/v1", "leaderworkersets");
    }
    for (const Kind& kind :
         {Kind("apps/v1", "deployments"), Kind("apps/v1", "statefulsets"), Kind("v1", "services"),
          Kind(features.pdb_api, "poddisruptionbudgets"),
          Kind("networking.k8s.io/v1", "networkpolicies"), Kind("v1", "secrets")}) {
      kinds.push_back(kind);
    }
    return kinds;
  }

  static Status remove_kind(const Cluster& cluster, std::string_view deployment,
                            const std::string& api_version, const std::string& plural,
                            const Progress& progress) {
    const std::string path = collection_path(api_version, cluster.space(), plural);
    BUNDLE_TRY(const Json first, cluster.api().get(path + instance_selector(deployment)));
    for (const Json& object : items_of(first)) {
      BUNDLE_CHECK(cluster.api().remove(path + "/" + text_at(object, {"metadata", "name"})));
    }
    const auto deadline = Clock::now() + std::chrono::minutes(15);
    for (;;) {
      BUNDLE_TRY(const Json left, cluster.api().get(path + instance_selector(deployment)));
      if (items_of(left).empty()) return {};
      if (Clock::now() > deadline) return failed("the " + plural + " are still there", path);
      if (progress && !progress("waiting until the " + plural + " are gone", 0, 0)) {
        return Error{ErrorCode::kInterrupted, "stopped while objects were removed", path,
                     "Run 'bundle delete' again."};
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  /// Why an autoscaler does not scale, in its own words; "" when it does or there is none.
  static std::string scaler_trouble(const Cluster& cluster, const std::string& hpa_api,
                                    const std::string& deployment) {
    const auto list =
        cluster.api().get(collection_path(hpa_api, cluster.space(), "horizontalpodautoscalers"));
    if (!list) return "";
    for (const Json& hpa : items_of(*list)) {
      if (text_at(hpa, {"spec", "scaleTargetRef", "name"}) != deployment) continue;
      const Json* status = find(hpa, "status");
      const Json* conditions = status == nullptr ? nullptr : find(*status, "conditions");
      if (conditions == nullptr || !conditions->is_array()) continue;
      for (const Json& condition : conditions->get_array()) {
        const bool bad = text_at(condition, {"status"}) == "False" &&
                         text_at(condition, {"type"}) != "ScalingLimited";
        if (bad) return "not scaling: " + text_at(condition, {"message"});
      }
    }
    return "";
  }

  static Result<DeploymentStatus> describe(const Cluster& cluster, const History& history) {
    const DeploymentSpec& spec = history.current().spec;
    DeploymentStatus status = status_of(history);
    status.url = scheme_of(spec) + "://" + spec.name + "." + cluster.space() + ".svc";
    BUNDLE_TRY(const Json pods, pods_of(cluster, spec.name));
    std::size_t staying = 0, ready = 0;
    for (const Json& pod : items_of(pods)) {
      status.replicas.push_back(replica_of(spec, pod));
      if (is_ending(pod)) continue;
      ++staying;
      ready += status.replicas.back().ready ? 1 : 0;
    }
    status.ready = ready > 0;
    status.state = state_of(ready, staying);
    if (spec.scaling.is_automatic()) {
      BUNDLE_TRY(const ClusterFeatures features, cluster.api().features());
      status.message = scaler_trouble(cluster, features.hpa_api, spec.name);
    }
    if (status.message.empty() && !status.ready && !status.replicas.empty()) {
      status.message = status.replicas.front().message;
    }
    tell_pending(history, status);
    return status;
  }

  JsonObject settings_;
};

}  // namespace

std::unique_ptr<Provider> make_kubernetes_provider(const JsonObject& settings) {
  return std::make_unique<KubernetesProvider>(settings);
}

}  // namespace bundle::cloud
