// Where a bundle can run: the contract of every deployment target, and the table of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "cloud/deployment_spec.h"

namespace bundle::cloud {

/// What apply would do, before it is done.
/// What a plan's replicas cost. Prices are lists' of a day: what is paid may differ.
struct PlanCost {
  double usd_per_replica_hour = 0;
  std::optional<double> spot_usd_per_replica_hour;  // of those that are spot machines
  std::string origin;                               // machine, region, date
  double least_usd_per_hour = 0;                    // with the fewest replicas
  double most_usd_per_hour = 0;                     // with the most
  std::optional<double> least_before;               // the same of what runs
  std::optional<double> most_before;
};

struct DeploymentPlan {
  std::string deployment;
  std::int64_t revision = 0;  // that apply makes, or the present one when nothing changes
  bool changes = false;
  std::vector<std::string> steps;   // in words
  std::vector<Change> differences;  // against what runs
  std::vector<std::string> notes;   // why it is done so, what to know
  std::optional<PlanCost> cost;     // where a price is known
};

/// One running copy of the server.
struct ReplicaStatus {
  std::string name;   // of its process, unit, pod or job
  std::string where;  // host or node
  std::string state;
  bool ready = false;
  std::string url;
  std::string message;
};

struct DeploymentStatus {
  std::string name;
  std::string target;
  std::string state;  // "running", "starting", "degraded", "stopped"
  bool ready = false;
  std::string url;
  std::string bundle;
  std::string digest;
  std::string model;  // the name clients use
  std::int64_t revision = 0;
  std::vector<std::int64_t> revisions;  // that rollback can go back to
  std::int64_t pid = 0;
  std::int64_t uptime_seconds = 0;
  std::string message;  // why it is not running or not ready, or ""
  std::vector<ReplicaStatus> replicas;
  std::string canary_of;  // the deployment that this is a canary of, or ""
  int weight = 100;       // per cent of the requests that gateways send here
};

Json to_json(const PlanCost& cost);
Json to_json(const DeploymentPlan& plan);
Json to_json(const DeploymentStatus& status);

struct LogOptions {
  std::int64_t lines = 100;  // the last so many
  bool follow = false;
};

/// A file that a target's engine reads.
struct RenderedFile {
  std::string path;  // relative; folders are made
  std::string text;
};

/// Where deployments of a target are looked for: the target's section of deployment.yaml.
struct Place {
  std::string target;
  JsonObject settings;
};

/// One kind of target. Every operation locks the deployment it changes; thread-safe across
/// processes. kNotFound for a deployment that does not exist. A target keeps its own state: what
/// runs there and its earlier revisions are read from it, from any machine.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::string_view name() const = 0;

  /// The files that apply would hand to the target's engine; contacts nothing. kUsage where a
  /// target has none.
  virtual Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const = 0;

  virtual Result<DeploymentPlan> plan(const DeploymentSpec& spec) const = 0;
  /// Idempotent: the same specification changes nothing. Returns when the server answers; when it
  /// does not come up, the revision before runs again and the error says what the server printed.
  virtual Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) = 0;

  virtual Result<DeploymentStatus> status(std::string_view deployment) const = 0;
  virtual Result<std::vector<DeploymentStatus>> list() const = 0;
  /// The specification of a revision; 0: of the present one.
  virtual Result<DeploymentSpec> specification(std::string_view deployment,
                                               std::int64_t revision) const = 0;
  /// Gives pieces of the log to `sink` until it is at its end (or for ever, with follow) or `sink`
  /// returns false. With follow, an empty piece comes every so often so that `sink` can stop.
  virtual Status logs(std::string_view deployment, const LogOptions& options,
                      const std::function<bool(std::string_view)>& sink) const = 0;

  /// Applies an earlier revision's specification as a new one. 0: the one before the present.
  virtual Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                            const Progress& progress) = 0;
  /// Drains, ends and forgets it.
  virtual Status remove(std::string_view deployment, const Progress& progress) = 0;

  /// Whether a canary (cloud/canary.h) can run beside a deployment. Where it can, apply does not
  /// touch a server when nothing but DeploymentSpec::canary differs. Unless a target says
  /// otherwise: kUsage, with what to do instead.
  virtual Status check_canary() const;
  /// Where the replicas of a deployment are reached, running or not. Unless a target knows a
  /// shorter way, its status says so.
  virtual Result<std::vector<std::string>> endpoints(std::string_view deployment) const;
  /// Drains each server of the present revision and starts it again, as an update would. Unless a
  /// target says otherwise: kUsage.
  virtual Result<DeploymentStatus> restart(std::string_view deployment, const Progress& progress);
};

/// The provider of a place. kUsage, naming the targets there are, for another.
Result<std::unique_ptr<Provider>> make_provider(const Place& place);

/// Names of all targets.
std::vector<std::string> target_names();

}  // namespace bundle::cloud
