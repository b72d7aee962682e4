// What a deployment's pods, and the events about them, say.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cloud/deployment_spec.h"
#include "cloud/provider.h"

namespace bundle::cloud {

inline constexpr char kEnding[] = "Terminating";  // ReplicaStatus::state, as kubectl calls it

/// Deleted, and not gone yet: its phase says Running until its last stream is finished.
bool is_ending(const Json& pod);

ReplicaStatus replica_of(const DeploymentSpec& spec, const Json& pod);

/// Names of those with a log.
std::vector<std::string> started_pods(const Json& pods);

/// Why the first pod that is not ready is not: "; " and what its container waits for, or "".
std::string trouble_of(const Json& pods);

/// The newest five warnings about a deployment's objects, oldest first. Probes that fail while a
/// server loads are many and say little: they are there only beside nothing else.
std::vector<std::string> warnings_of(const Json& events, const std::string& deployment);

}  // namespace bundle::cloud
