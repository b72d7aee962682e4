// Where a bundle can run: the contract of every deployment target, and the table of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"

namespace bundle::cloud {

/// What is to run. Plain data: the command line has resolved the bundle already.
struct DeploymentSpec {
  std::string name;                 // of the deployment
  std::string target;               // "local", …
  std::string bundle;               // "smollm2:latest", for people
  std::string digest;               // of the bundle's OCI index; "" for loose files
  std::vector<std::string> server;  // start of the command line that runs bundle-server
  JsonObject launch;                // LaunchSpec as JSON
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;    // 0: the target picks one and keeps it
  std::string api_key_file;  // "" asks for no key
  int drain_seconds = 30;
  std::vector<std::pair<std::string, std::string>> environment;

  Json to_json() const;
  static Result<DeploymentSpec> from_json(const Json& value, std::string_view where);
};

/// What apply would do, in words, before it is done.
struct DeploymentPlan {
  std::string deployment;
  std::int64_t revision = 0;  // that apply makes, or the present one when nothing changes
  bool changes = false;
  std::vector<std::string> steps;
};

struct DeploymentStatus {
  std::string name;
  std::string target;
  std::string state;  // "running", "starting", "stopped"
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
};

Json to_json(const DeploymentPlan& plan);
Json to_json(const DeploymentStatus& status);

struct LogOptions {
  std::int64_t lines = 100;  // the last so many
  bool follow = false;
};

/// One kind of target. Every operation locks the deployment it changes; thread-safe across
/// processes. kNotFound for a deployment that does not exist.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::string_view name() const = 0;

  virtual Result<DeploymentPlan> plan(const DeploymentSpec& spec) const = 0;
  /// Idempotent: the same specification changes nothing. Returns when the server answers; when it
  /// does not come up, the revision before runs again and the error says what the server printed.
  virtual Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) = 0;

  virtual Result<DeploymentStatus> status(std::string_view deployment) const = 0;
  virtual Result<std::vector<DeploymentStatus>> list() const = 0;
  /// Gives pieces of the log to `sink` until it is at its end (or for ever, with follow) or `sink`
  /// returns false. With follow, an empty piece comes every so often so that `sink` can stop.
  virtual Status logs(std::string_view deployment, const LogOptions& options,
                      const std::function<bool(std::string_view)>& sink) const = 0;

  /// Applies an earlier revision's specification as a new one. 0: the one before the present.
  virtual Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                            const Progress& progress) = 0;
  /// Drains, ends and forgets it.
  virtual Status remove(std::string_view deployment, const Progress& progress) = 0;
};

/// The provider of a target's name. kUsage, naming the targets there are, for another.
Result<std::unique_ptr<Provider>> make_provider(std::string_view target);

/// Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 bytes: safe as a
/// folder and as a DNS label's superset.
bool is_valid_deployment_name(std::string_view name);

}  // namespace bundle::cloud
