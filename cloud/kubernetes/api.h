// A client of the Kubernetes API: plain HTTP with JSON, no library of theirs.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http_client.h"
#include "base/json.h"
#include "cloud/kubernetes/manifests.h"

namespace bundle::cloud {

/// How to reach an API server, as a kubeconfig says.
struct ClusterAccess {
  std::string server;   // https://…
  std::string ca_file;  // "" for the system's
  std::string token;    // "" when a certificate speaks
  std::string cert_file;
  std::string key_file;
  bool insecure = false;  // the server's certificate is not checked
};

/// Thread-safe. Errors carry the server's own words; kUnreachable when it cannot be reached or
/// refuses the credentials, kNotFound for what is not there.
class KubernetesApi {
 public:
  explicit KubernetesApi(ClusterAccess access) : access_(std::move(access)) {}

  Result<Json> get(const std::string& path) const;
  /// Server-side apply under the field manager "bundle". `dry_run` asks for the outcome alone.
  Result<Json> apply(const Manifest& manifest, bool dry_run) const;
  /// The object, or null when there is none.
  Result<Json> find_object(const Manifest& manifest) const;
  /// No error when there is none.
  Status remove(const std::string& path) const;
  /// Marks the pods of a workload as of now, which replaces them by its own rules.
  Status restart(const Manifest& workload) const;
  /// The plain text of a path, such as a pod's log; `on_data` takes it as it comes.
  Status stream(const std::string& path, const OnHttpData& on_data) const;
  Result<ClusterFeatures> features() const;

 private:
  HttpRequest request(std::string method, const std::string& path) const;
  Result<Json> send(const HttpRequest& request) const;

  ClusterAccess access_;
};

/// "/apis/apps/v1/namespaces/NS/deployments", or with a name one object.
std::string collection_path(std::string_view api_version, std::string_view space,
                            std::string_view plural);
std::string object_path(const Manifest& manifest);

}  // namespace bundle::cloud
