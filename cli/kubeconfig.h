// How to reach a Kubernetes cluster, from a kubeconfig.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

/// `settings` are deployment.yaml's kubernetes section: kubeconfig (else $KUBECONFIG, else
/// ~/.kube/config) and context (else the file's current one). Gives {server, ca_file, token,
/// cert_file, key_file, insecure}; certificates that the file holds inline go into files that only
/// this user reads. A plugin that the file names is run for its token. Without a kubeconfig, and
/// inside a pod: the pod's own service account. Empty when there is nothing of that; kBadInput or
/// kNotFound when there is one that does not say enough.
Result<JsonObject> cluster_access(const JsonObject& settings);

}  // namespace bundle::cli
