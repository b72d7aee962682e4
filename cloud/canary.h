// Canaries: a second revision of a deployment beside the first, and what becomes of it.
//
// A canary is a deployment of its own, NAME-canary, whose specification says beside which one it
// runs and what part of the requests it gets (CanaryRole). So it has revisions, logs and status
// like any other, lies on the target, and everything here is said in the terms of a Provider.
// Gateways read the parts from there and follow each change; nothing else is told.
//
//   update --canary   the canary is applied; the deployment is not touched
//   promote           all requests go to the canary, the deployment is replaced, all requests go
//                     back, the canary drains and ends
//   rollback          no request goes to the canary; it drains and ends
//
// Whatever is cut off between two of these steps is a phase in the canary's specification: status
// names it, and the same command goes on from there.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/provider.h"

namespace bundle::cloud {

/// How long a change of weights may take to reach every gateway.
struct CanaryPace {
  std::chrono::milliseconds settle{0};
};

/// A deployment, and the canary beside it.
struct Release {
  DeploymentStatus stable;
  std::optional<DeploymentStatus> canary;
  CanaryRole role;

  /// What is half done and what to run next, or "".
  std::string unfinished() const;
};

/// The stable deployment's document with "weight" and "canary": a status, or null.
Json to_json(const Release& release);

/// One address of a release and which part of the requests all of its revision get together.
struct WeightedEndpoint {
  std::string url;
  std::string revision;  // "stable" or "canary"
  int weight = 100;
};

std::string canary_name(std::string_view deployment);

/// The canary's specification: `changed`, the deployment's with another bundle, under a name and
/// port of its own and as one replica. kUsage or kBadInput for a deployment that cannot have one.
Result<DeploymentSpec> canary_spec(DeploymentSpec changed, int percent);

/// What the deployment becomes by a promotion: the canary's bundle and settings, all else its own.
DeploymentSpec promoted_spec(DeploymentSpec stable, const DeploymentSpec& canary);

/// The canary of a deployment, or none. Another deployment that has its name is none.
Result<std::optional<DeploymentSpec>> find_canary(const Provider& provider,
                                                  std::string_view deployment);

/// kUsage, naming the commands instead, for the name of a canary.
Status refuse_canary_name(const Provider& provider, std::string_view deployment);
/// kUsage, naming the commands that end it, while `deployment` has a canary.
Status refuse_beside_canary(const Provider& provider, std::string_view deployment);

Result<Release> release_of(const Provider& provider, std::string_view deployment);
Result<std::vector<WeightedEndpoint>> weighted_endpoints(const Provider& provider,
                                                         std::string_view deployment);
/// Gives each deployment that has a canary in the list the rest of the requests as its weight.
void weigh(std::vector<DeploymentStatus>& statuses);

Result<DeploymentPlan> plan_canary(const Provider& provider, const DeploymentSpec& canary);
Result<DeploymentPlan> plan_promotion(const Provider& provider, std::string_view deployment);
Result<DeploymentPlan> plan_end(const Provider& provider, std::string_view deployment);

/// Applies a canary's specification. When it does not come up, the deployment was not touched.
Result<Release> start_canary(Provider& provider, const DeploymentSpec& canary,
                             const Progress& progress);
/// Makes the canary the deployment. kNotFound without one, kFailed when it is not ready; when the
/// new revision does not come up in its place, the one before runs again beside the canary.
Result<Release> promote(Provider& provider, std::string_view deployment, const CanaryPace& pace,
                        const Progress& progress);
/// Ends the canary, and undoes a promotion that was cut off.
Result<Release> end_canary(Provider& provider, std::string_view deployment, const CanaryPace& pace,
                           const Progress& progress);

/// Requests that a server has under way, from its metrics; none where it does not tell.
std::optional<std::int64_t> requests_under_way(const std::string& url);

}  // namespace bundle::cloud
