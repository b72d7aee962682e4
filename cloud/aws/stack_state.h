// What a stack's state means for whoever wants to change it, and what to do about it.
#pragma once

#include <string>
#include <vector>

#include "cloud/aws/cloudformation.h"

namespace bundle::cloud {

/// Whether a change can begin. kFailed where the stack is in the midst of another, or in a state
/// that needs something else first: the remedy says what.
Status check_changeable(const Stack& stack, const std::string& deployment);

/// kUsage when the stack is another's: it has no tag with the deployment's name.
Status check_ours(const Stack& stack, const std::string& deployment);

/// Why a change did not come to its end: the resources that failed, in AWS's own words, and what
/// state that leaves. `events` are those since the change began, newest first.
Error explain_failure(const Stack& stack, const std::vector<StackEvent>& events,
                      const std::string& deployment);

}  // namespace bundle::cloud
