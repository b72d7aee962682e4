#include "cloud/aws/cloudformation.h"

#include <chrono>
#include <random>
#include <thread>

#include "base/text.h"

namespace bundle::cloud {
namespace {

constexpr std::chrono::milliseconds kPoll{1000};
constexpr std::size_t kMostEvents = 10'000;

/// A name that no other has: "bundle-" and 16 hex digits.
std::string fresh_name() {
  constexpr char kDigits[] = "0123456789abcdef";
  std::random_device random;
  std::string name = "bundle-";
  for (int i = 0; i < 16; ++i) name += kDigits[random() & 15];
  return name;
}

/// A text of AWS, safe to show.
std::string shown(const XmlNode& node, std::string_view name) {
  return show_controls(node.child_text(name));
}

Stack read_stack(const XmlNode& node) {
  Stack stack{node.child_text("StackId"),
              shown(node, "StackName"),
              shown(node, "StackStatus"),
              shown(node, "StackStatusReason"),
              {}};
  for (const XmlNode& tag : node.items("Tags")) {
    stack.tags[tag.child_text("Key")] = tag.child_text("Value");
  }
  return stack;
}

ResourceChange read_change(const XmlNode& node) {
  const XmlNode* change = node.child("ResourceChange");
  if (change == nullptr) return {};
  return {shown(*change, "Action"), shown(*change, "LogicalResourceId"),
          shown(*change, "ResourceType"), shown(*change, "Replacement")};
}

/// AWS has no state for "nothing to do": it says so in words.
bool says_no_change(std::string_view reason) {
  return reason.find("didn't contain changes") != std::string_view::npos ||
         reason.find("No updates are to be performed") != std::string_view::npos;
}

}  // namespace

Result<std::optional<Stack>> CloudFormation::find_stack(const std::string& name_or_id) const {
  const auto result = api_.call(kCloudFormation, "DescribeStacks", {{"StackName", name_or_id}});
  if (!result && result.error().code == ErrorCode::kNotFound) return std::optional<Stack>();
  if (!result) return result.error();
  const auto& found = result->items("Stacks");
  if (found.empty()) return std::optional<Stack>();
  Stack stack = read_stack(found.front());
  if (stack.id.empty() || stack.status.empty()) {
    return bad_input("AWS describes a stack without its id or state", name_or_id);
  }
  return std::optional<Stack>(std::move(stack));
}

Result<std::vector<Stack>> CloudFormation::stacks() const {
  BUNDLE_TRY(const auto pages, api_.pages(kCloudFormation, "DescribeStacks", {}));
  std::vector<Stack> all;
  for (const XmlNode& page : pages) {
    for (const XmlNode& node : page.items("Stacks")) all.push_back(read_stack(node));
  }
  return all;
}

Result<std::string> CloudFormation::template_body(const std::string& stack_id) const {
  BUNDLE_TRY(const XmlNode result,
             api_.call(kCloudFormation, "GetTemplate",
                       {{"StackName", stack_id}, {"TemplateStage", "Original"}}));
  return result.child_text("TemplateBody");
}

Result<std::vector<StackResource>> CloudFormation::resources(const std::string& stack_id) const {
  BUNDLE_TRY(const XmlNode result,
             api_.call(kCloudFormation, "DescribeStackResources", {{"StackName", stack_id}}));
  std::vector<StackResource> all;
  for (const XmlNode& node : result.items("StackResources")) {
    all.push_back({shown(node, "LogicalResourceId"), node.child_text("PhysicalResourceId"),
                   shown(node, "ResourceType"), shown(node, "ResourceStatus"),
                   shown(node, "ResourceStatusReason")});
  }
  return all;
}

Result<std::vector<StackEvent>> CloudFormation::events(const std::string& stack_id,
                                                       const std::string& last_seen) const {
  std::vector<StackEvent> all;
  AwsParameters parameters{{"StackName", stack_id}};
  while (all.size() < kMostEvents) {
    BUNDLE_TRY(const XmlNode page, api_.call(kCloudFormation, "DescribeStackEvents", parameters));
    for (const XmlNode& node : page.items("StackEvents")) {
      StackEvent event{node.child_text("EventId"), shown(node, "LogicalResourceId"),
                       shown(node, "ResourceType"), shown(node, "ResourceStatus"),
                       shown(node, "ResourceStatusReason")};
      if (!last_seen.empty() && event.id == last_seen) return all;
      all.push_back(std::move(event));
    }
    const std::string next = page.child_text("NextToken");
    if (next.empty() || page.items("StackEvents").empty()) break;
    parameters.resize(1);
    parameters.emplace_back("NextToken", next);
  }
  return all;
}

Result<ChangeSet> CloudFormation::make_change_set(const std::string& stack_name, bool is_new,
                                                  const std::string& body,
                                                  const std::map<std::string, std::string>& tags,
                                                  const Progress& progress) const {
  const std::string name = fresh_name();
  AwsParameters parameters{{"StackName", stack_name},
                           {"ChangeSetName", name},
                           {"ChangeSetType", is_new ? "CREATE" : "UPDATE"},
                           {"ClientToken", name},
                           {"TemplateBody", body},
                           {"Capabilities.member.1", "CAPABILITY_IAM"}};
  std::size_t number = 0;
  for (const auto& [key, value] : tags) {
    const std::string member = "Tags.member." + std::to_string(++number);
    parameters.emplace_back(member + ".Key", key);
    parameters.emplace_back(member + ".Value", value);
  }
  BUNDLE_TRY(const XmlNode made, api_.call(kCloudFormation, "CreateChangeSet", parameters));
  ChangeSet change_set{made.child_text("Id"), made.child_text("StackId"), {}, false};
  if (change_set.id.empty()) return bad_input("AWS made a change set without an id", stack_name);
  return wait_made(std::move(change_set), progress);
}

Result<ChangeSet> CloudFormation::wait_made(ChangeSet change_set, const Progress& progress) const {
  for (;;) {
    BUNDLE_TRY(const auto pages, api_.pages(kCloudFormation, "DescribeChangeSet",
                                            {{"ChangeSetName", change_set.id}}));
    const std::string status = shown(pages.front(), "Status");
    const std::string reason = shown(pages.front(), "StatusReason");
    if (status == "CREATE_COMPLETE") {
      for (const XmlNode& page : pages) {
        for (const XmlNode& node : page.items("Changes")) {
          change_set.changes.push_back(read_change(node));
        }
      }
      return change_set;
    }
    change_set.is_empty = status == "FAILED" && says_no_change(reason);
    if (change_set.is_empty) return change_set;
    if (status != "CREATE_PENDING" && status != "CREATE_IN_PROGRESS") {
      BUNDLE_CHECK(delete_change_set(change_set));
      return failed("AWS cannot make the change: " + status + ": " + reason, change_set.stack_id);
    }
    if (progress && !progress("waiting for the change set", 0, 0)) {
      BUNDLE_CHECK(delete_change_set(change_set));
      return Error{ErrorCode::kInterrupted, "stopped before anything was changed"};
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Status CloudFormation::execute(const ChangeSet& change_set) const {
  BUNDLE_CHECK(api_.call(kCloudFormation, "ExecuteChangeSet",
                         {{"ChangeSetName", change_set.id}, {"ClientRequestToken", fresh_name()}}));
  return {};
}

Status CloudFormation::delete_change_set(const ChangeSet& change_set) const {
  BUNDLE_CHECK(api_.call(kCloudFormation, "DeleteChangeSet", {{"ChangeSetName", change_set.id}}));
  return {};
}

Status CloudFormation::delete_stack(const std::string& stack_id) const {
  BUNDLE_CHECK(api_.call(kCloudFormation, "DeleteStack",
                         {{"StackName", stack_id}, {"ClientRequestToken", fresh_name()}}));
  return {};
}

bool is_moving(std::string_view status) {
  return status.ends_with("_IN_PROGRESS") && !status.ends_with("_CLEANUP_IN_PROGRESS") &&
         status != "REVIEW_IN_PROGRESS";
}

bool is_settled_well(std::string_view status) {
  return status == "CREATE_COMPLETE" || status == "IMPORT_COMPLETE" ||
         status.starts_with("UPDATE_COMPLETE");
}

}  // namespace bundle::cloud
