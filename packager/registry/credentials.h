// User names and passwords of registries, from where Docker and podman keep them.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace bundle::packager::registry {

/// A value; never printed.
struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  // of a registry that gave one instead of a password

  bool empty() const { return user.empty() && identity_token.empty(); }
};

/// What is known for a registry ("localhost:5000"): from `auth_file`, else from the first of
/// $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or ~/.docker/config.json, and
/// $XDG_RUNTIME_DIR/containers/auth.json that knows it. `credHelpers` and `credsStore` programs
/// (docker-credential-NAME) are asked. Empty when nobody knows it; kBadInput for a file that is
/// not JSON, kFailed when a helper fails.
Result<Credentials> find_credentials(const std::string& registry, const Path& auth_file);

}  // namespace bundle::packager::registry
