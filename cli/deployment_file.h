// deployment.yaml: the arguments of `bundle deploy` in a file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

/// A checked deployment.yaml. Empty fields were not given.
struct DeploymentFile {
  std::string name;
  std::string target;
  std::string bundle;
  std::string host;
  int port = -1;
  int drain_seconds = -1;
  std::string api_key_file;
  JsonObject runtime;  // overrides of the bundle's runtime section
  std::vector<std::pair<std::string, std::string>> environment;
};

/// Refused with file, line and column: unknown keys (with the nearest known one), keys that come
/// twice, wrong types.
Result<DeploymentFile> read_deployment_file(const Path& path);

}  // namespace bundle::cli
