// What a deployment costs an hour, by the prices of the catalogue.
#pragma once

#include <optional>
#include <string>

#include "cloud/catalog/catalog.h"
#include "cloud/deployment_spec.h"
#include "cloud/provider.h"

namespace bundle::cli {

/// By the machine type that the target aws names; for other targets by the cheapest machine of the
/// catalogue that has the GPUs of a replica: among own ones (provider "on-prem", which a user adds
/// with their price), on Kubernetes and by SkyPilot among all. None where no price is known.
/// Replicas above aws.on_demand_base or skypilot.on_demand_base count as spot machines where `spot`
/// is set and their price is known.
std::optional<cloud::PlanCost> cost_of(const cloud::DeploymentSpec& spec,
                                       const catalog::Catalog& catalog);

/// Puts a plan's cost into it, beside that of what runs (null: nothing does).
void set_cost(cloud::DeploymentPlan& plan, const cloud::DeploymentSpec& spec,
              const cloud::DeploymentSpec* running, const catalog::Catalog& catalog);

}  // namespace bundle::cli
