// From what a person asked for (a deployment.yaml and arguments) to a specification for a target.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cloud/deployment_spec.h"

namespace bundle::cli {

/// `document` is deployment.yaml's, with the arguments merged in; `settings` are --set assignments.
/// Resolves the bundle, whose own resources, scaling and env are the defaults. kUsage when no
/// bundle is named; kBadInput when a secret that the bundle asks for is not supplied.
Result<cloud::DeploymentSpec> deployment_spec(const JsonObject& document,
                                              const std::vector<std::string>& settings);

/// `present` with another bundle, or the same one resolved anew; what the deployment set stays.
Result<cloud::DeploymentSpec> with_bundle(const cloud::DeploymentSpec& present,
                                          const std::string& reference,
                                          const std::vector<std::string>& settings);

/// Merges `from` into `into`, section by section.
void merge(JsonObject& into, const JsonObject& from);

}  // namespace bundle::cli
