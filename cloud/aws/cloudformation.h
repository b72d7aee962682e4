// Stacks of CloudFormation: what they are, change sets of them, and their end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "cloud/aws/aws_api.h"

namespace bundle::cloud {

struct Stack {
  std::string id;  // its ARN, which stays the stack's own when another gets its name
  std::string name;
  std::string status;  // CREATE_COMPLETE, …
  std::string reason;  // of the status, or ""
  std::map<std::string, std::string> tags;
};

/// What a change set would do to one resource.
struct ResourceChange {
  std::string action;  // Add, Modify, Remove
  std::string resource;
  std::string type;
  std::string replacement;  // True, Conditional, False or ""
};

struct ChangeSet {
  std::string id;
  std::string stack_id;
  std::vector<ResourceChange> changes;
  bool is_empty = false;  // AWS sees no difference; it cannot be executed
};

struct StackEvent {
  std::string id;
  std::string resource;
  std::string type;
  std::string status;
  std::string reason;
};

struct StackResource {
  std::string resource;     // its name in the template
  std::string physical_id;  // its name or ARN at AWS; "" while there is none
  std::string type;
  std::string status;
  std::string reason;
};

/// Thread-safe. Errors are AwsApi's.
class CloudFormation {
 public:
  explicit CloudFormation(const AwsApi& api) : api_(api) {}

  /// By name or id; by name only a stack that is not deleted.
  Result<std::optional<Stack>> find_stack(const std::string& name_or_id) const;
  Result<std::vector<Stack>> stacks() const;
  /// The template as it was handed in.
  Result<std::string> template_body(const std::string& stack_id) const;
  Result<std::vector<StackResource>> resources(const std::string& stack_id) const;
  /// Newest first, those after `last_seen` alone ("": all).
  Result<std::vector<StackEvent>> events(const std::string& stack_id,
                                         const std::string& last_seen) const;

  /// Has AWS make a change set and waits until it has. A stack that is not there appears in the
  /// state REVIEW_IN_PROGRESS. kFailed with AWS's reason when it cannot be made; it is deleted
  /// then.
  Result<ChangeSet> make_change_set(const std::string& stack_name, bool is_new,
                                    const std::string& body,
                                    const std::map<std::string, std::string>& tags,
                                    const Progress& progress) const;
  Status execute(const ChangeSet& change_set) const;
  Status delete_change_set(const ChangeSet& change_set) const;
  /// Begins the end of a stack.
  Status delete_stack(const std::string& stack_id) const;

 private:
  Result<ChangeSet> wait_made(ChangeSet change_set, const Progress& progress) const;

  const AwsApi& api_;
};

/// Whether something still happens to a stack in this state. The removal of what an update left
/// over counts as done.
bool is_moving(std::string_view status);
/// Whether a stack in this state has what its template says.
bool is_settled_well(std::string_view status);

}  // namespace bundle::cloud
