#include "cloud/aws/stack_state.h"

#include <algorithm>

#include "cloud/aws/stack_template.h"

namespace bundle::cloud {
namespace {

constexpr std::size_t kMostReasons = 8;

/// What to do about a stack that cannot be changed as it is, or "".
std::string way_out(const Stack& stack, const std::string& deployment) {
  const std::string& status = stack.status;
  const std::string remove = "'bundle delete " + deployment + "'";
  if (status == "REVIEW_IN_PROGRESS") {
    return "Nothing was made in it: " + remove + " removes it; then deploy again.";
  }
  if (is_moving(status) || status.ends_with("_CLEANUP_IN_PROGRESS")) {
    return "Wait until it has ended ('bundle status " + deployment + "' shows it), then try again.";
  }
  if (status == "CREATE_FAILED" || status == "ROLLBACK_COMPLETE" || status == "ROLLBACK_FAILED") {
    return "It was never whole and cannot be changed: run " + remove + ", then deploy again.";
  }
  if (status == "UPDATE_ROLLBACK_FAILED") {
    return "Mend what it names, run 'aws cloudformation continue-update-rollback --stack-name " +
           stack.name + "', then deploy again.";
  }
  if (status == "UPDATE_FAILED") {
    return "Run 'aws cloudformation rollback-stack --stack-name " + stack.name +
           "', then deploy again.";
  }
  if (status == "DELETE_FAILED") return "Its end was begun: run " + remove + " again.";
  return "";
}

bool is_failure(const StackEvent& event) {
  return event.status.ends_with("_FAILED") && event.type != "AWS::CloudFormation::Stack" &&
         event.reason.find("cancelled") == std::string::npos;
}

}  // namespace

Status check_changeable(const Stack& stack, const std::string& deployment) {
  const bool is_settled =
      is_settled_well(stack.status) || stack.status == "UPDATE_ROLLBACK_COMPLETE";
  if (is_settled && !stack.status.ends_with("_IN_PROGRESS")) return {};
  const std::string why = stack.reason.empty() ? "" : " (" + stack.reason + ")";
  return failed("the stack '" + stack.name + "' is in the state " + stack.status + why, "",
                way_out(stack, deployment));
}

Status check_ours(const Stack& stack, const std::string& deployment) {
  const auto tag = stack.tags.find(kDeploymentTag);
  if (tag != stack.tags.end() && tag->second == deployment) return {};
  return Error{ErrorCode::kUsage,
               "the stack '" + stack.name + "' was not made by 'bundle deploy' for '" + deployment +
                   "': it has no tag " + kDeploymentTag + " with that name",
               "", "Give the deployment another name, or the stack that tag."};
}

Error explain_failure(const Stack& stack, const std::vector<StackEvent>& events,
                      const std::string& deployment) {
  std::string reasons;
  std::size_t count = 0;
  // The first failure is the cause of the others.
  for (auto event = events.rbegin(); event != events.rend() && count < kMostReasons; ++event) {
    if (!is_failure(*event)) continue;
    reasons += "\n  " + event->resource + " (" + event->type + "): " + event->reason;
    ++count;
  }
  if (reasons.empty() && !stack.reason.empty()) reasons = "\n  " + stack.reason;
  std::string remedy = way_out(stack, deployment);
  if (remedy.empty() && stack.status.starts_with("UPDATE_ROLLBACK_COMPLETE")) {
    remedy = "The revision before runs on. Mend what it names, then deploy again.";
  }
  return failed("the stack '" + stack.name + "' came to " + stack.status + ":" + reasons, "",
                remedy);
}

}  // namespace bundle::cloud
