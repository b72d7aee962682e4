// The last step of every command that changes a deployment: the plan, the question, the change.
#pragma once

#include "cli/deployment_place.h"
#include "cli/session.h"

namespace bundle::cli {

struct ApplyArguments {
  bool plan = false;
  bool yes = false;
};
void add_apply_options(CLI::App& command, ApplyArguments& arguments);

/// Asks whether a plan shall be applied, unless it is for this machine or --yes was said. kUsage
/// when nobody can be asked, kInterrupted when the answer is no.
Status confirm(const cloud::DeploymentPlan& plan, const cloud::Place& place,
               const ApplyArguments& arguments);

/// Shows the plan and stops, with --plan. Else applies it: at once on this machine or with --yes,
/// after a question on a terminal, and kUsage when nobody can be asked. kUsage too for a canary,
/// and for another specification of a deployment that has one.
Result<Outcome> apply(cloud::Provider& provider, const cloud::Place& place,
                      const cloud::DeploymentSpec& spec, const ApplyArguments& arguments,
                      const Session& session);

}  // namespace bundle::cli
