// Deployments for people.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"
#include "cloud/canary.h"

namespace bundle::cli {

std::string plan_text(const cloud::DeploymentPlan& plan);
/// Lines of "key: value" about one deployment.
std::string status_text(const cloud::DeploymentStatus& status);
/// The same, and what there is of a canary.
std::string release_text(const cloud::Release& release);
/// What a command that changed a canary answers.
Outcome release_outcome(const cloud::Release& release, bool changed);
/// A table of all.
std::string statuses_text(const std::vector<cloud::DeploymentStatus>& statuses);

}  // namespace bundle::cli
