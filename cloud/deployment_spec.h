// What is to run and how: the checked, resolved form of a deployment.yaml. Plain data that every
// target reads; what a target keeps of a revision is its JSON form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bundle::cloud {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

/// Of one replica. Zero or "": not said.
struct Resources {
  double cpu = 0;           // cores
  std::int64_t memory = 0;  // bytes
  int gpu = 0;              // of one node
  std::string gpu_type;     // "NVIDIA-H200" on Kubernetes, "H200" on SkyPilot
  std::int64_t disk = 0;    // bytes for the bundle's files
  int nodes = 1;            // machines that one replica spans

  bool operator==(const Resources&) const = default;
};

/// How many replicas, and what decides it.
struct Scaling {
  int min_replicas = 1;
  int max_replicas = 1;
  std::int64_t target_concurrency = 0;  // requests in flight that one replica should carry
  int scale_up_delay_seconds = 0;
  int scale_down_delay_seconds = 300;
  int idle_seconds = 300;  // without a request before the last replica goes, when min is 0
  int ttft_ms = 0;         // objective: time to the first token; 0: none
  int tpot_ms = 0;         // objective: time per further token; 0: none

  bool is_automatic() const { return max_replicas != min_replicas; }
  bool operator==(const Scaling&) const = default;
};

/// How a new revision takes the place of the old one.
struct UpdateRule {
  std::string strategy = "auto";  // auto, surge, recreate, blue-green
  int ready_seconds = 0;          // how long a replica may load; 0: from its weights' bytes
  int read_mb_per_second = 0;     // measured rate at which weights load; 0: a careful guess

  bool operator==(const UpdateRule&) const = default;
};

/// A file that a server needs on its host: a blob of the store, or a file of the runtime.
struct HostFile {
  std::string path;    // on this machine
  std::string sha256;  // 64 hex digits; "" when it has not been hashed
  std::uint64_t size = 0;

  bool operator==(const HostFile&) const = default;
};

/// PEM files of HTTPS. Paths on this machine; in what a target keeps, paths or hashes there.
struct TlsFiles {
  std::string certificate;  // "": plain HTTP
  std::string key;
  std::string client_ca;  // "": any client

  bool on() const { return !certificate.empty(); }
  bool operator==(const TlsFiles&) const = default;
};

/// What makes a deployment the canary of another: a second revision beside it, to which gateways
/// send a part of the requests. Kept in its specification, so on the target.
struct CanaryRole {
  std::string of;   // the deployment beside which it runs; "": this is no canary
  int percent = 0;  // of the requests
  /// "": percent holds; "promoting": every request goes to it while the deployment is replaced;
  /// "ending": none does any more.
  std::string phase;
  std::int64_t base = 0;  // the deployment's revision when its promotion began

  bool is_on() const { return !of.empty(); }
  /// The percentage that holds now.
  int share() const { return phase == "promoting" ? 100 : phase == "ending" ? 0 : percent; }
  bool operator==(const CanaryRole&) const = default;
};

struct DeploymentSpec {
  std::string name;                 // of the deployment
  std::string target;               // "local", "systemd", …
  std::string bundle;               // "smollm2:latest", for people
  std::string digest;               // of the bundle's OCI index; "" for loose files
  std::vector<std::string> server;  // start of the command line that runs bundle-server
  JsonObject launch;                // LaunchSpec as JSON
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;        // 0: the target picks one and keeps it
  std::uint16_t admin_port = 0;  // probes and metrics without a key, of the first replica; 0: none
  std::string api_key_file;      // "" asks for no key
  TlsFiles tls;
  std::string access_log;  // a file where the server runs, "-" for its log, "" for none
  int drain_seconds = 30;
  TextPairs environment;
  TextPairs secrets;  // variable -> file on this machine that holds its value
  TextPairs labels;
  Resources resources;
  Scaling scaling;
  UpdateRule update;
  std::uint64_t weight_bytes = 0;
  JsonObject settings;   // the target's own section of deployment.yaml, checked
  JsonObject overrides;  // what the deployment set over the bundle's own runtime section
  CanaryRole canary;

  bool operator==(const DeploymentSpec&) const = default;
  Json to_json() const;
  static Result<DeploymentSpec> from_json(const Json& value, std::string_view where);
};

/// What every target relies on: a usable name, environment names and values that a process can be
/// given, replicas in order. kUsage or kBadInput, naming the field.
Status check(const DeploymentSpec& spec);

/// The two ask for the same server: at most what gateways are told of it differs.
bool same_server(const DeploymentSpec& one, const DeploymentSpec& other);

/// kBadInput when the access log is a file: `place` ("a pod") has none that the server may write.
Status refuse_log_file(const DeploymentSpec& spec, const std::string& place);

/// Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 63 bytes: safe as a
/// folder and as part of a unit's name.
bool is_valid_deployment_name(std::string_view name);

/// One value that differs between two specifications, by its dotted path.
struct Change {
  std::string path;
  std::string before;  // "" when it was not there
  std::string after;   // "" when it is gone
};

/// What `after` changes of `before`, in `after`'s order. Values of long texts are shortened.
std::vector<Change> differences(const Json& before, const Json& after);

/// How long a replica may take until it is ready: 1.5 times what reading the weights takes at the
/// measured rate (500 MB/s unless known), plus a minute to warm up.
int ready_seconds(const DeploymentSpec& spec);

}  // namespace bundle::cloud
