// The target "slurm": each replica is a batch job on a cluster whose machines share a folder, and
// the state lies in that folder.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: folder (shared, required), host ("" is this one, else the login node's ssh address),
/// key_file, config_file, partition, account, qos, constraint, reservation, time_minutes,
/// exclusive.
std::unique_ptr<Provider> make_slurm_provider(const JsonObject& settings);

}  // namespace bundle::cloud
