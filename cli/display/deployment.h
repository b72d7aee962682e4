// Deployments for people.
#pragma once

#include <string>
#include <vector>

#include "cloud/provider.h"

namespace bundle::cli {

std::string plan_text(const cloud::DeploymentPlan& plan);
/// Lines of "key: value" about one deployment.
std::string status_text(const cloud::DeploymentStatus& status);
/// A table of all.
std::string statuses_text(const std::vector<cloud::DeploymentStatus>& statuses);

}  // namespace bundle::cli
