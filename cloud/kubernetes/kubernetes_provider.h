// The target "kubernetes": objects by server-side apply, the state in a ConfigMap beside them.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: those of deployment.yaml's section, and access {server, ca_file, token, cert_file,
/// key_file, insecure}, without which only render works.
std::unique_ptr<Provider> make_kubernetes_provider(const JsonObject& settings);

}  // namespace bundle::cloud
