#include "cloud/aws/aws_provider.h"

#include <algorithm>
#include <chrono>
#include <regex>
#include <thread>

#include <boost/json/array.hpp>

#include "base/text.h"
#include "cloud/aws/replicas.h"
#include "cloud/aws/source_bucket.h"
#include "cloud/aws/stack_state.h"
#include "cloud/aws/stack_template.h"
#include "cloud/render_only.h"
#include "cloud/status.h"

namespace bundle::cloud {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll{1000};
constexpr std::int64_t kBootSeconds = 600;  // a machine's start and its files from S3

Error no_deployment(std::string_view deployment, const std::string& region) {
  return not_found("there is no deployment '" + std::string(deployment) + "' on AWS", region,
                   "'bundle status --target aws' lists those of the account and region.");
}

bool can_name_stack(std::string_view deployment) {
  static const std::regex form("[A-Za-z0-9-]+");
  return std::regex_match(deployment.begin(), deployment.end(), form);
}

std::string step_of(const ResourceChange& change) {
  std::string verb = change.action;
  if (change.action == "Modify" && change.replacement == "True") verb = "Replace";
  if (change.action == "Modify" && change.replacement == "Conditional") verb = "Modify or replace";
  std::ranges::transform(verb.begin(), verb.begin() + std::min<std::size_t>(1, verb.size()),
                         verb.begin(), [](unsigned char c) { return std::tolower(c); });
  return verb + ' ' + change.resource + " (" + change.type + ")";
}

/// A deployment's stack, and what its template says of its revisions.
struct Deployed {
  Stack stack;
  StackRecord record;

  const DeploymentSpec& spec() const { return record.history.current().spec; }
};

/// The account in one region.
class Account {
 public:
  explicit Account(AwsAccess access) : api_(std::move(access)), stacks_(api_) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  const AwsApi& api() const { return api_; }
  const CloudFormation& stacks() const { return stacks_; }

  /// The deployment's stack, in whatever state. kUsage for another's stack of that name.
  Result<std::optional<Stack>> find_stack(const std::string& deployment) const {
    if (!can_name_stack(deployment)) return std::optional<Stack>();
    BUNDLE_TRY(auto stack, stacks_.find_stack(stack_name(deployment)));
    if (stack) BUNDLE_CHECK(check_ours(*stack, deployment));
    return stack;
  }

  Result<Deployed> read(Stack stack) const {
    BUNDLE_TRY(const std::string body, stacks_.template_body(stack.id));
    BUNDLE_TRY(StackRecord record, read_record(body, stack.name));
    return Deployed{std::move(stack), std::move(record)};
  }

  /// A deployment that was made whole at least once.
  Result<std::optional<Deployed>> find(const std::string& deployment) const {
    BUNDLE_TRY(auto stack, find_stack(deployment));
    if (!stack) return std::optional<Deployed>();
    BUNDLE_CHECK(check_changeable(*stack, deployment));
    BUNDLE_TRY(Deployed found, read(*std::move(stack)));
    return std::optional<Deployed>(std::move(found));
  }

  Result<Deployed> get(std::string_view deployment) const {
    BUNDLE_TRY(auto stack, find_stack(std::string(deployment)));
    if (!stack) return no_deployment(deployment, api_.region());
    return read(*std::move(stack));
  }

  /// The newest event's id, from which a wait goes on.
  Result<std::string> last_event(const std::string& stack_id) const {
    BUNDLE_TRY(const auto events, stacks_.events(stack_id, ""));
    return events.empty() ? "" : events.front().id;
  }

  /// Waits until a change has ended, well or not, and tells of its events.
  Result<Stack> wait_settled(const std::string& stack_id, const std::string& last_event,
                             const std::string& deployment, const Progress& progress) const {
    std::string seen = last_event;
    for (;;) {
      BUNDLE_TRY(const auto stack, stacks_.find_stack(stack_id));
      if (!stack) return no_deployment(deployment, api_.region());
      BUNDLE_TRY(const auto events, stacks_.events(stack_id, seen));
      for (auto event = events.rbegin(); event != events.rend(); ++event) {
        if (progress && !progress(event->resource + ' ' + event->status, 0, 0)) {
          return interrupted(deployment);
        }
      }
      if (!events.empty()) seen = events.front().id;
      if (!is_moving(stack->status) && stack->status != "REVIEW_IN_PROGRESS") return *stack;
      if (progress && !progress(stack->status, 0, 0)) return interrupted(deployment);
      std::this_thread::sleep_for(kPoll);
    }
  }

 private:
  static Error interrupted(const std::string& deployment) {
    return {ErrorCode::kInterrupted, "stopped waiting; AWS goes on with the stack", "",
            "'bundle status " + deployment + "' shows it."};
  }

  AwsApi api_;
  CloudFormation stacks_;
};

/// Puts the machines into a deployment's status.
void tell_replicas(const Deployed& deployed, AwsReplicas found, DeploymentStatus& status) {
  const Json* certificate = deployed.spec().settings.if_contains("certificate");
  const char* scheme = certificate == nullptr ? "http://" : "https://";
  status.ready = found.ready > 0;
  status.state = state_of(found.ready, std::max(found.replicas.size(), found.desired));
  if (!found.balancer.empty()) status.url = scheme + found.balancer;
  status.message = found.trouble;
  if (status.message.empty() && !status.ready && !found.replicas.empty()) {
    status.message = found.replicas.front().message;
  }
  status.replicas = std::move(found.replicas);
}

Result<DeploymentStatus> describe(const Account& account, const Deployed& deployed) {
  DeploymentStatus status = status_of(deployed.record.history);
  BUNDLE_TRY(const auto resources, account.stacks().resources(deployed.stack.id));
  BUNDLE_TRY(AwsReplicas found, find_replicas(account.api(), resources));
  tell_replicas(deployed, std::move(found), status);
  const Status changeable = check_changeable(deployed.stack, status.name);
  if (!changeable) status.message = changeable.error().message();
  return status;
}

/// Of a stack that was never whole.
DeploymentStatus describe_unmade(const Stack& stack, const std::string& deployment) {
  DeploymentStatus status;
  status.name = deployment;
  status.target = "aws";
  status.state = is_moving(stack.status) ? "starting" : "stopped";
  const Status changeable = check_changeable(stack, deployment);
  if (!changeable) status.message = changeable.error().message();
  return status;
}

Result<DeploymentStatus> describe_stack(const Account& account, Stack stack,
                                        const std::string& deployment) {
  if (stack.status == "REVIEW_IN_PROGRESS") return describe_unmade(stack, deployment);
  BUNDLE_TRY(const Deployed deployed, account.read(std::move(stack)));
  return describe(account, deployed);
}

/// The template differs only by what makes no difference to the machines.
Result<bool> is_same(const Deployed& deployed, const DeploymentSpec& spec) {
  BUNDLE_TRY(const std::string fingerprint, stack_fingerprint(spec));
  return deployed.record.history.is_current(spec) && deployed.record.template_sha256 == fingerprint;
}

History with_revision(const std::optional<Deployed>& before, const DeploymentSpec& spec) {
  History next = before ? before->record.history : History{};
  next.add(spec);
  return next;
}

class AwsProvider final : public Provider {
 public:
  explicit AwsProvider(JsonObject settings) : settings_(std::move(settings)) {}

  std::string_view name() const override { return "aws"; }

  Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    return render_cloudformation(spec);
  }

  Result<DeploymentPlan> plan(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const HostForm form, machine_form(spec));
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(const auto before, account.find(spec.name));
    BUNDLE_TRY(const bool same, before ? is_same(*before, form.spec) : Result<bool>(false));
    DeploymentPlan plan;
    plan.deployment = spec.name;
    plan.changes = !same;
    plan.revision = (before ? before->record.history.number() : 0) + (same ? 0 : 1);
    if (same) {
      plan.steps = {"nothing: revision " + std::to_string(plan.revision) + " is what the stack '" +
                    before->stack.name + "' has"};
      return plan;
    }
    BUNDLE_TRY(const std::string body, stack_body(with_revision(before, form.spec)));
    BUNDLE_CHECK(plan_upload(access, form, plan));
    if (before) {
      plan.differences = differences(before->spec().to_json(), form.spec.to_json());
      BUNDLE_CHECK(plan_update(account, *before, form.spec, body, plan));
    } else {
      plan_creation(account, spec.name, body, plan);
    }
    return plan;
  }

  Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const HostForm form, machine_form(spec));
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(const auto before, account.find(spec.name));
    BUNDLE_TRY(const bool same, before ? is_same(*before, form.spec) : Result<bool>(false));
    if (same) return describe(account, *before);
    // What AWS would not take is refused before anything is sent.
    BUNDLE_CHECK(stack_body(with_revision(before, form.spec)));
    BUNDLE_CHECK(upload(access, form, progress));
    return install(account, before, form.spec, progress);
  }

  Result<DeploymentStatus> status(std::string_view deployment) const override {
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(auto stack, account.find_stack(std::string(deployment)));
    if (!stack) return no_deployment(deployment, access.region);
    return describe_stack(account, *std::move(stack), std::string(deployment));
  }

  Result<std::vector<DeploymentStatus>> list() const override {
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(const auto stacks, account.stacks().stacks());
    std::vector<DeploymentStatus> all;
    for (const Stack& stack : stacks) {
      const auto tag = stack.tags.find(kDeploymentTag);
      if (tag == stack.tags.end() || stack.name != stack_name(tag->second)) continue;
      BUNDLE_TRY(DeploymentStatus one, describe_stack(account, stack, tag->second));
      all.push_back(std::move(one));
    }
    return all;
  }

  Result<DeploymentSpec> specification(std::string_view deployment,
                                       std::int64_t revision) const override {
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(const Deployed deployed, account.get(deployment));
    return revision == 0 ? deployed.spec() : deployed.record.history.earlier(revision);
  }

  Status logs(std::string_view deployment, const LogOptions&,
              const std::function<bool(std::string_view)>&) const override {
    BUNDLE_TRY(const DeploymentStatus now, status(deployment));
    const std::string instance = now.replicas.empty() ? "INSTANCE" : now.replicas.front().name;
    return Error{ErrorCode::kUsage, "the machines keep their logs to themselves", "",
                 "Ask one: aws ssm start-session --target " + instance +
                     ", then: journalctl -u bundle; or for its start: aws ec2 get-console-output "
                     "--latest --output text --instance-id " +
                     instance + "."};
  }

  Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                    const Progress& progress) override {
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    BUNDLE_TRY(const auto before, account.find(std::string(deployment)));
    if (!before) return no_deployment(deployment, access.region);
    BUNDLE_TRY(const DeploymentSpec spec, before->record.history.earlier(revision));
    return install(account, before, spec, progress);
  }

  Status remove(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const AwsAccess access, aws_access(settings_));
    const Account account(access);
    const std::string name(deployment);
    BUNDLE_TRY(const auto stack, account.find_stack(name));
    if (!stack) return no_deployment(deployment, access.region);
    BUNDLE_TRY(const std::string last, account.last_event(stack->id));
    BUNDLE_CHECK(account.stacks().delete_stack(stack->id));
    const auto end = account.wait_settled(stack->id, last, name, progress);
    if (!end && end.error().code == ErrorCode::kNotFound) return {};
    if (!end) return end.error();
    if (end->status == "DELETE_COMPLETE") return {};
    return left_over(account, *end, name);
  }

 private:
  /// What machines need of a deployment that is not in the bucket; nothing where another copies it.
  static Result<MissingFiles> missing_files(const AwsAccess& access, const HostForm& form) {
    BUNDLE_TRY(const bool wanted, get_bool_or(form.spec.settings, "upload", true, "aws"));
    if (!wanted) return MissingFiles{};
    BUNDLE_TRY(const std::string source, get_string(form.spec.settings, "source", "aws"));
    return find_missing_files(access, source, form);
  }

  static Status plan_upload(const AwsAccess& access, const HostForm& form, DeploymentPlan& plan) {
    BUNDLE_TRY(const MissingFiles missing, missing_files(access, form));
    if (missing.bytes == 0) return {};
    plan.steps.push_back("upload " + human_bytes(missing.bytes) + " to " + missing.source);
    return {};
  }

  static Status upload(const AwsAccess& access, const HostForm& form, const Progress& progress) {
    BUNDLE_TRY(const MissingFiles missing, missing_files(access, form));
    return upload_files(missing, progress);
  }

  static void plan_creation(const Account& account, const std::string& deployment,
                            const std::string& body, DeploymentPlan& plan) {
    plan.steps.push_back("create the stack '" + stack_name(deployment) + "' in " +
                         account.api().region());
    for (const auto& [resource, type] : stack_resources(body)) {
      plan.steps.push_back("add " + resource + " (" + type + ")");
    }
    plan.notes.emplace_back("the stack does not exist yet, so no change set was made");
  }

  /// Has AWS say what it would change, and takes the change set back.
  static Status plan_update(const Account& account, const Deployed& before,
                            const DeploymentSpec& spec, const std::string& body,
                            DeploymentPlan& plan) {
    BUNDLE_TRY(
        const ChangeSet change_set,
        account.stacks().make_change_set(before.stack.name, false, body, stack_tags(spec), {}));
    BUNDLE_CHECK(account.stacks().delete_change_set(change_set));
    for (const ResourceChange& change : change_set.changes) plan.steps.push_back(step_of(change));
    if (plan.steps.empty()) plan.steps.emplace_back("nothing that AWS sees");
    plan.notes.push_back("said by a change set of the stack '" + before.stack.name +
                         "', which was deleted again");
    const bool replaces = std::ranges::count(change_set.changes, std::string("LaunchTemplate"),
                                             &ResourceChange::resource) > 0;
    if (replaces) {
      plan.notes.push_back("machines are replaced one after another, " +
                           std::to_string(std::max(0, spec.scaling.min_replicas - 1)) +
                           " in service at least");
    }
    return {};
  }

  /// Makes the stack be as the specification says, as a new revision.
  static Result<DeploymentStatus> install(const Account& account,
                                          const std::optional<Deployed>& before,
                                          const DeploymentSpec& spec, const Progress& progress) {
    BUNDLE_TRY(const bool same, before ? is_same(*before, spec) : Result<bool>(false));
    if (same) return describe(account, *before);
    BUNDLE_TRY(const std::string body, stack_body(with_revision(before, spec)));
    BUNDLE_TRY(const auto stack, change(account, before, spec, body, progress));
    if (!stack) return describe(account, *before);
    BUNDLE_TRY(const Deployed after, account.read(*stack));
    const Status ready = wait_ready(account, stack->id, spec, progress);
    if (!ready && before && ready.error().code == ErrorCode::kFailed) {
      return undo(account, after, before->spec(), ready.error(), progress);
    }
    BUNDLE_CHECK(ready);
    return describe(account, after);
  }

  /// Applies the revision before again, and tells what was wrong with the one that did not come up.
  static Error undo(const Account& account, const Deployed& after, const DeploymentSpec& earlier,
                    Error error, const Progress& progress) {
    const History history = with_revision(after, earlier);
    const auto body = stack_body(history);
    if (!body) return error;
    const auto stack = change(account, after, earlier, *body, progress);
    error.remedy = stack
                       ? "The revision before runs again, as revision " +
                             std::to_string(history.number()) + "."
                       : "To return to the revision before failed too: " + stack.error().message();
    return error;
  }

  /// Carries a template out; nothing when AWS sees no change.
  static Result<std::optional<Stack>> change(const Account& account,
                                             const std::optional<Deployed>& before,
                                             const DeploymentSpec& spec, const std::string& body,
                                             const Progress& progress) {
    const CloudFormation& stacks = account.stacks();
    const auto made =
        stacks.make_change_set(stack_name(spec.name), !before, body, stack_tags(spec), progress);
    if (!made && !before) forget_review(account, spec.name);
    if (!made) return made.error();
    if (made->is_empty) {
      BUNDLE_CHECK(stacks.delete_change_set(*made));
      return std::optional<Stack>();
    }
    if (before) BUNDLE_CHECK(check_unchanged(account, *before, *made));
    BUNDLE_TRY(const std::string last, account.last_event(made->stack_id));
    const Status begun = stacks.execute(*made);
    if (!begun) return withdraw(account, *made, spec.name, begun.error());
    BUNDLE_TRY(Stack stack, account.wait_settled(made->stack_id, last, spec.name, progress));
    if (is_settled_well(stack.status)) return std::optional<Stack>(std::move(stack));
    BUNDLE_TRY(const auto events, stacks.events(stack.id, last));
    return explain_failure(stack, events, spec.name);
  }

  /// Leaves nothing of a change that may not begin.
  static Error withdraw(const Account& account, const ChangeSet& change_set,
                        const std::string& deployment, Error error) {
    (void)account.stacks().delete_change_set(change_set);  // the first error is the one to tell
    forget_review(account, deployment);
    return error;
  }

  /// A change set that cannot be made or executed leaves an empty stack behind.
  static void forget_review(const Account& account, const std::string& deployment) {
    const auto stack = account.find_stack(deployment);
    if (stack && *stack && (*stack)->status == "REVIEW_IN_PROGRESS") {
      (void)account.stacks().delete_stack((*stack)->id);  // the first error is the one to tell
    }
  }

  /// Another who deployed between our reading and our change set would lose his revision.
  static Status check_unchanged(const Account& account, const Deployed& before,
                                const ChangeSet& change_set) {
    BUNDLE_TRY(const std::string body, account.stacks().template_body(before.stack.id));
    BUNDLE_TRY(const StackRecord now, read_record(body, before.stack.name));
    if (now.history.number() == before.record.history.number()) return {};
    BUNDLE_CHECK(account.stacks().delete_change_set(change_set));
    return failed("the stack '" + before.stack.name + "' was changed meanwhile", "",
                  "See 'bundle status', then run the command again.");
  }

  /// Waits until the load balancer finds as many machines ready as there must be.
  static Status wait_ready(const Account& account, const std::string& stack_id,
                           const DeploymentSpec& spec, const Progress& progress) {
    const auto wanted = static_cast<std::size_t>(std::max(0, spec.scaling.min_replicas));
    BUNDLE_TRY(const std::int64_t boot,
               get_int_or(spec.settings, "boot_seconds", kBootSeconds, "aws"));
    const auto deadline = Clock::now() + std::chrono::seconds(boot + ready_seconds(spec));
    BUNDLE_TRY(const auto resources, account.stacks().resources(stack_id));
    for (;;) {
      BUNDLE_TRY(const AwsReplicas found, find_replicas(account.api(), resources));
      if (found.ready >= wanted) return {};
      if (Clock::now() > deadline) return not_ready(found, spec);
      if (progress && !progress("waiting for machines to be ready", found.ready, wanted)) {
        return Error{ErrorCode::kInterrupted, "stopped waiting; the machines go on starting", "",
                     "'bundle status " + spec.name + "' shows them."};
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  static Error not_ready(const AwsReplicas& found, const DeploymentSpec& spec) {
    std::string why = found.trouble;
    for (const ReplicaStatus& replica : found.replicas) {
      if (!replica.ready) why += (why.empty() ? "" : "; ") + replica.name + ": " + replica.message;
    }
    return failed("the machines were not ready in time" + (why.empty() ? "" : ": " + why), "",
                  "'bundle logs " + spec.name + "' says how to read theirs.");
  }

  static Error left_over(const Account& account, const Stack& stack, const std::string& name) {
    const auto resources = account.stacks().resources(stack.id);
    if (!resources) return resources.error();
    std::string left;
    for (const StackResource& one : *resources) {
      if (one.status == "DELETE_COMPLETE") continue;
      left += "\n  " + one.resource + " (" + one.type + ") " + one.physical_id + ": " + one.status +
              (one.reason.empty() ? "" : ", " + one.reason);
    }
    return failed("the stack '" + stack.name + "' came to " + stack.status + "; left are:" + left,
                  "", "Free what holds them, then run 'bundle delete " + name + "' again.");
  }

  JsonObject settings_;
};

}  // namespace

std::unique_ptr<Provider> make_aws_provider(const JsonObject& settings) {
  return std::make_unique<AwsProvider>(settings);
}

std::unique_ptr<Provider> make_terraform_provider(const JsonObject&) {
  return make_render_only("terraform", "Add --render DIR, then run terraform init and apply there.",
                          render_terraform);
}

}  // namespace bundle::cloud
