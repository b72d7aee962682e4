// The target "skypilot": a service file for SkyPilot, which runs it on any cloud that it knows.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: source (s3://…, gs://…: a copy of a host's tree), infra, accelerators, spot,
/// on_demand_base, target_rate.
std::unique_ptr<Provider> make_skypilot_provider(const JsonObject& settings);

}  // namespace bundle::cloud
