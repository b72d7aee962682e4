#include "cloud/canary.h"

#include <charconv>
#include <thread>

#include <boost/json/object.hpp>

#include "base/http_client.h"
#include "base/text.h"

namespace bundle::cloud {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }
std::string percent_text(int percent) { return std::to_string(percent) + " %"; }

std::string update_command(const CanaryRole& role) {
  return "'bundle update " + role.of + " --canary " + std::to_string(role.percent) + "%'";
}
std::string promote_command(std::string_view name) {
  return in_quotes("bundle promote " + std::string(name));
}
std::string rollback_command(std::string_view name) {
  return in_quotes("bundle rollback " + std::string(name));
}

Error no_canary(std::string_view deployment) {
  return not_found("there is no canary of " + in_quotes(deployment), "",
                   "Start one: bundle update " + std::string(deployment) + " REF --canary 10%.");
}

/// The present specification, or none when the target knows no such deployment.
Result<std::optional<DeploymentSpec>> known_spec(const Provider& provider,
                                                 std::string_view deployment) {
  auto spec = provider.specification(deployment, 0);
  if (spec) return std::optional(*std::move(spec));
  if (spec.error().code == ErrorCode::kNotFound) return std::optional<DeploymentSpec>();
  return std::move(spec).error();
}

Result<DeploymentSpec> present_canary(const Provider& provider, std::string_view deployment) {
  BUNDLE_CHECK(provider.check_canary());
  BUNDLE_TRY(auto found, find_canary(provider, deployment));
  if (found) return *std::move(found);
  BUNDLE_CHECK(provider.specification(deployment, 0));  // there may be no such deployment at all
  return no_canary(deployment);
}

/// Lets time pass, in pieces that Ctrl-C can end.
Status pause(milliseconds time, const std::string& stage, const Progress& progress) {
  const auto until = Clock::now() + time;
  while (Clock::now() < until) {
    if (progress && !progress(stage, 0, 0)) return Error{ErrorCode::kInterrupted, "stopped"};
    std::this_thread::sleep_for(std::min(kPoll, time));
  }
  return {};
}

/// Waits until the replicas have nothing under way, at most `limit`. It spares the streams of the
/// old revision the drain's own limit; where a server does not tell, the drain alone decides.
Status wait_idle(const std::vector<std::string>& urls, milliseconds limit,
                 const Progress& progress) {
  const auto until = Clock::now() + limit;
  for (;;) {
    std::int64_t running = 0;
    for (const std::string& url : urls) running += requests_under_way(url).value_or(0);
    if (running == 0 || Clock::now() >= until) return {};
    BUNDLE_CHECK(pause(4 * kPoll,
                       "waiting for " + std::to_string(running) +
                           " requests of the old "
                           "revision",
                       progress));
  }
}

Result<DeploymentSpec> set_phase(Provider& provider, DeploymentSpec canary,
                                 const std::string& phase, const Progress& progress) {
  if (canary.canary.phase == phase) return canary;
  canary.canary.phase = phase;
  BUNDLE_CHECK(provider.apply(canary, progress));
  return canary;
}

/// Takes the requests from a canary, and ends it. One that does not run gets none, and must not be
/// started to be told so.
Status retire(Provider& provider, const DeploymentSpec& canary, bool answers,
              const CanaryPace& pace, const Progress& progress) {
  if (answers) {
    BUNDLE_CHECK(set_phase(provider, canary, "ending", progress));
    const std::string stage = "sending every request to " + in_quotes(canary.canary.of);
    BUNDLE_CHECK(pause(pace.settle, stage, progress));
  }
  return provider.remove(canary.name, progress);
}

/// Broken off by a person or the network: what was begun stays as it is, marked.
bool is_cut(const Error& error) {
  return error.code == ErrorCode::kInterrupted || error.code == ErrorCode::kUnreachable;
}

/// An error of a canary's command: whatever a target advises for a deployment of its own does not
/// fit here.
Error retold(Error error, const std::string& next) {
  error.remedy = is_cut(error) ? next : error.remedy + (error.remedy.empty() ? "" : "\n") + next;
  return error;
}

/// The steps of a promotion over one provider and deployment.
class Promotion {
 public:
  Promotion(Provider& provider, std::string name, const CanaryPace& pace, const Progress& progress)
      : provider_(provider), name_(std::move(name)), pace_(pace), progress_(progress) {}

  Result<Release> run() {
    BUNDLE_TRY(DeploymentSpec canary, present_canary(provider_, name_));
    BUNDLE_TRY(const Release now, release_of(provider_, name_));
    BUNDLE_TRY(const DeploymentSpec stable, provider_.specification(name_, 0));
    const DeploymentSpec wanted = promoted_spec(stable, canary);
    const bool replaced = wanted == stable && now.stable.ready;
    if (now.role.phase == "ending") {
      if (!replaced) return being_ended();
    } else {
      if (!replaced) BUNDLE_CHECK(check_ready(now));
      canary.canary.base = now.role.phase.empty() ? now.stable.revision : now.role.base;
      if (auto moved = replace(canary, wanted); !moved) return cut_off(moved.error());
    }
    const bool answers = now.canary && now.canary->ready;
    if (auto ended = retire(provider_, canary, answers, pace_, progress_); !ended) {
      return cut_off(ended.error());
    }
    return release_of(provider_, name_);
  }

 private:
  Error being_ended() const {
    return {ErrorCode::kUsage, "the canary of " + in_quotes(name_) + " is being ended", "",
            rollback_command(name_) + " goes on with that."};
  }

  Status check_ready(const Release& now) const {
    if (now.canary && now.canary->ready) return {};
    return failed(
        "the canary of " + in_quotes(name_) + " is not ready",
        now.canary ? now.canary->message : "",
        "See 'bundle logs " + canary_name(name_) + "'; " + rollback_command(name_) + " ends it.");
  }

  /// The deployment becomes `wanted` while the canary answers everything.
  Status replace(DeploymentSpec& canary, const DeploymentSpec& wanted) {
    BUNDLE_TRY(canary, set_phase(provider_, canary, "promoting", progress_));
    BUNDLE_CHECK(pause(pace_.settle, "sending every request to the canary", progress_));
    BUNDLE_TRY(const auto old_urls, provider_.endpoints(name_));
    BUNDLE_CHECK(wait_idle(old_urls, std::chrono::seconds(wanted.drain_seconds), progress_));
    BUNDLE_TRY(const DeploymentSpec still, present_canary(provider_, name_));
    if (!(still == canary)) {
      return failed("another command changed the canary of " + in_quotes(name_) + " meanwhile");
    }
    const auto applied = provider_.apply(wanted, progress_);
    if (applied) return {};
    // The revision before runs again: the traffic is split as it was.
    if (!is_cut(applied.error())) (void)set_phase(provider_, canary, "", {});
    return applied.error();
  }

  Error cut_off(Error error) const {
    return retold(std::move(error), "'bundle status " + name_ + "' says how it is; " +
                                        promote_command(name_) + " goes on, " +
                                        rollback_command(name_) + " undoes it.");
  }

  Provider& provider_;
  const std::string name_;
  const CanaryPace& pace_;
  const Progress& progress_;
};

/// Returns a deployment whose promotion was cut off to what it was, while the canary answers.
Status undo_promotion(Provider& provider, const Release& now, const Progress& progress) {
  const std::string& name = now.role.of;
  if (now.stable.revision > now.role.base) {
    BUNDLE_CHECK(provider.rollback(name, now.role.base, progress));
  } else if (!now.stable.ready) {
    BUNDLE_TRY(const DeploymentSpec stable, provider.specification(name, 0));
    BUNDLE_CHECK(provider.apply(stable, progress));
  }
  return {};
}

Status end_steps(Provider& provider, const DeploymentSpec& canary, const Release& now,
                 const CanaryPace& pace, const Progress& progress) {
  if (now.role.phase == "promoting") BUNDLE_CHECK(undo_promotion(provider, now, progress));
  return retire(provider, canary, now.canary->ready, pace, progress);
}

/// kUsage when the canary's name is that of a deployment that is none, and while the canary that is
/// there is on its way to be the deployment or to its end.
Status check_free(const Provider& provider, const DeploymentSpec& canary) {
  BUNDLE_TRY(const auto there, known_spec(provider, canary.name));
  if (!there) return {};
  if (there->canary.of == canary.canary.of) {
    if (there->canary.phase.empty()) return {};
    Release now;
    now.role = there->canary;
    return Error{ErrorCode::kUsage, now.unfinished(), "", ""};
  }
  return Error{ErrorCode::kUsage,
               "a deployment " + in_quotes(canary.name) + " is there, and is no canary of " +
                   in_quotes(canary.canary.of),
               "", "Delete it first, or deploy it under another name."};
}

void note_costs(const DeploymentSpec& stable, const DeploymentSpec& canary, DeploymentPlan& plan) {
  plan.notes.push_back(in_quotes(stable.name) + " goes on as it is");
  plan.notes.push_back(
      "both revisions hold their weights meanwhile: " + human_bytes(stable.weight_bytes) + " and " +
      human_bytes(canary.weight_bytes));
  if (canary.resources.gpu > 0) {
    plan.notes.push_back("the canary needs " + std::to_string(canary.resources.gpu) +
                         " free GPUs beside those that run");
  }
  plan.notes.push_back("gateways split the traffic: bundle gateway --deployment " + stable.name);
}

/// The plan of a canary whose server is there already, and gets another part.
DeploymentPlan plan_part(const DeploymentSpec& before, const DeploymentSpec& after,
                         std::int64_t revision) {
  DeploymentPlan plan;
  plan.deployment = after.name;
  plan.changes = !(before == after);
  plan.revision = revision + (plan.changes ? 1 : 0);
  const std::string part = percent_text(after.canary.percent) + " of the requests";
  plan.steps = {plan.changes
                    ? "send it " + part + " instead of " + percent_text(before.canary.share())
                    : "nothing: it runs and gets " + part};
  return plan;
}

}  // namespace

std::string Release::unfinished() const {
  if (role.phase == "promoting") {
    return "a promotion is under way or was cut off: " + promote_command(role.of) +
           " goes on with it, " + rollback_command(role.of) + " undoes it";
  }
  if (role.phase == "ending") {
    return "the canary is being ended, or that was cut off: " + rollback_command(role.of) +
           " goes on with it";
  }
  return "";
}

Json to_json(const Release& release) {
  JsonObject document = to_json(release.stable).get_object();
  document["canary"] = release.canary ? to_json(*release.canary) : Json(nullptr);
  if (release.role.is_on()) document["phase"] = release.role.phase;
  return document;
}

std::string canary_name(std::string_view deployment) { return std::string(deployment) + "-canary"; }

Result<DeploymentSpec> canary_spec(DeploymentSpec spec, int percent) {
  if (spec.canary.is_on()) return bad_input(in_quotes(spec.name) + " is a canary itself");
  if (spec.tls.on()) {
    return bad_input("a server that ends TLS itself can have no canary", "tls",
                     "The gateway that splits the traffic speaks plain HTTP to replicas: end TLS "
                     "before it.");
  }
  spec.canary = {spec.name, percent, ""};
  spec.name = canary_name(spec.name);
  if (!is_valid_deployment_name(spec.name)) {
    return Error{ErrorCode::kUsage,
                 "the canary's name " + in_quotes(replace_invalid_utf8(spec.name)) + " is too long",
                 "", "A deployment with canaries has a name of at most 56 bytes."};
  }
  // Ports and files that the deployment has are not free.
  spec.port = 0;
  spec.admin_port = 0;
  if (!spec.access_log.empty() && spec.access_log != "-") spec.access_log += ".canary";
  spec.scaling.min_replicas = 1;
  spec.scaling.max_replicas = 1;
  return spec;
}

DeploymentSpec promoted_spec(DeploymentSpec stable, const DeploymentSpec& canary) {
  stable.bundle = canary.bundle;
  stable.digest = canary.digest;
  stable.server = canary.server;
  stable.launch = canary.launch;
  stable.weight_bytes = canary.weight_bytes;
  stable.overrides = canary.overrides;
  return stable;
}

Result<std::optional<DeploymentSpec>> find_canary(const Provider& provider,
                                                  std::string_view deployment) {
  const std::string name = canary_name(deployment);
  if (!provider.check_canary() || !is_valid_deployment_name(name)) {
    return std::optional<DeploymentSpec>();
  }
  BUNDLE_TRY(auto spec, known_spec(provider, name));
  if (spec && spec->canary.of != deployment) spec.reset();
  return spec;
}

Status refuse_canary_name(const Provider& provider, std::string_view deployment) {
  if (!provider.check_canary() || !is_valid_deployment_name(deployment)) return {};
  BUNDLE_TRY(const auto spec, known_spec(provider, deployment));
  if (!spec || !spec->canary.is_on()) return {};
  const CanaryRole& role = spec->canary;
  return Error{ErrorCode::kUsage, in_quotes(deployment) + " is the canary of " + in_quotes(role.of),
               "",
               update_command(role) + " changes it, " + promote_command(role.of) +
                   " makes it the deployment, " + rollback_command(role.of) + " ends it."};
}

Status refuse_beside_canary(const Provider& provider, std::string_view deployment) {
  BUNDLE_TRY(const auto canary, find_canary(provider, deployment));
  if (!canary) return {};
  return Error{ErrorCode::kUsage, in_quotes(deployment) + " has a canary", "",
               promote_command(deployment) + " or " + rollback_command(deployment) +
                   " ends it; then run the command again."};
}

Result<Release> release_of(const Provider& provider, std::string_view deployment) {
  Release release;
  BUNDLE_TRY(release.stable, provider.status(deployment));
  BUNDLE_TRY(const auto canary, find_canary(provider, deployment));
  if (!canary) return release;
  BUNDLE_TRY(release.canary, provider.status(canary->name));
  release.role = canary->canary;
  release.stable.weight = 100 - release.role.share();
  return release;
}

Result<std::vector<WeightedEndpoint>> weighted_endpoints(const Provider& provider,
                                                         std::string_view deployment) {
  // The canary first: were it promoted and gone between two looks, the deployment has all of it.
  BUNDLE_TRY(const auto canary, find_canary(provider, deployment));
  const int share = canary ? canary->canary.share() : 0;
  std::vector<WeightedEndpoint> all;
  BUNDLE_TRY(const auto stable, provider.endpoints(deployment));
  for (const std::string& url : stable) all.push_back({url, "stable", 100 - share});
  if (!canary) return all;
  const auto others = provider.endpoints(canary->name);
  if (!others) return all;
  for (const std::string& url : *others) all.push_back({url, "canary", share});
  return all;
}

void weigh(std::vector<DeploymentStatus>& statuses) {
  for (const DeploymentStatus& canary : statuses) {
    for (DeploymentStatus& stable : statuses) {
      const bool pair = !canary.canary_of.empty() && stable.name == canary.canary_of &&
                        stable.target == canary.target;
      if (pair) stable.weight = 100 - canary.weight;
    }
  }
}

Result<DeploymentPlan> plan_canary(const Provider& provider, const DeploymentSpec& canary) {
  BUNDLE_CHECK(provider.check_canary());
  BUNDLE_CHECK(check_free(provider, canary));
  const std::string& of = canary.canary.of;
  BUNDLE_TRY(const DeploymentSpec stable, provider.specification(of, 0));
  BUNDLE_TRY(const auto before, find_canary(provider, of));
  DeploymentPlan plan;
  bool keeps = before && same_server(*before, canary);
  if (keeps) {
    BUNDLE_TRY(const DeploymentStatus now, provider.status(canary.name));
    keeps = now.ready;
    plan = plan_part(*before, canary, now.revision);
  }
  if (!keeps) {
    BUNDLE_TRY(plan, provider.plan(canary));
    if (plan.changes) {
      plan.steps.push_back("send it " + percent_text(canary.canary.percent) +
                           " of the requests to " + in_quotes(of));
    }
  }
  plan.differences = differences(stable.to_json(), promoted_spec(stable, canary).to_json());
  if (plan.changes) note_costs(stable, canary, plan);
  if (plan.differences.empty())
    plan.notes.push_back("it is what " + in_quotes(of) + " runs already");
  return plan;
}

Result<DeploymentPlan> plan_promotion(const Provider& provider, std::string_view deployment) {
  BUNDLE_TRY(const DeploymentSpec canary, present_canary(provider, deployment));
  BUNDLE_TRY(const DeploymentSpec stable, provider.specification(deployment, 0));
  BUNDLE_TRY(const Release now, release_of(provider, deployment));
  const DeploymentSpec wanted = promoted_spec(stable, canary);
  DeploymentPlan plan;
  plan.deployment = deployment;
  plan.changes = true;
  plan.revision = now.stable.revision + (wanted == stable ? 0 : 1);
  if (!(wanted == stable)) {
    plan.steps = {"send every request to the canary",
                  "drain revision " + std::to_string(now.stable.revision) + ", start " +
                      canary.bundle + " as revision " + std::to_string(plan.revision) +
                      " in its place"};
  }
  plan.steps.push_back("send every request to " + in_quotes(deployment));
  plan.steps.emplace_back("drain and end the canary");
  plan.differences = differences(stable.to_json(), wanted.to_json());
  if (!now.canary->ready) plan.notes.emplace_back("the canary is not ready: it would be refused");
  plan.notes.push_back("who asks " + in_quotes(deployment) +
                       " without a gateway finds it away while it is replaced");
  return plan;
}

Result<DeploymentPlan> plan_end(const Provider& provider, std::string_view deployment) {
  BUNDLE_TRY(const DeploymentSpec canary, present_canary(provider, deployment));
  BUNDLE_TRY(const Release now, release_of(provider, deployment));
  DeploymentPlan plan;
  plan.deployment = deployment;
  plan.changes = true;
  plan.revision = now.stable.revision;
  if (now.role.phase == "promoting") plan.steps.emplace_back("undo the promotion that was begun");
  plan.steps.push_back("send every request to " + in_quotes(deployment));
  plan.steps.emplace_back("drain and end the canary");
  return plan;
}

Result<Release> start_canary(Provider& provider, const DeploymentSpec& canary,
                             const Progress& progress) {
  BUNDLE_CHECK(provider.check_canary());
  BUNDLE_CHECK(check_free(provider, canary));
  const CanaryRole& role = canary.canary;
  const auto applied = provider.apply(canary, progress);
  if (applied) return release_of(provider, role.of);
  const auto left = find_canary(provider, role.of);
  const std::string next =
      left && !*left ? "Nothing is left of it, and " + in_quotes(role.of) + " was not touched."
                     : in_quotes(role.of) + " was not touched; " + update_command(role) +
                           " goes on with the canary, " + rollback_command(role.of) + " ends it.";
  return retold(applied.error(), next);
}

Result<Release> promote(Provider& provider, std::string_view deployment, const CanaryPace& pace,
                        const Progress& progress) {
  return Promotion(provider, std::string(deployment), pace, progress).run();
}

Result<Release> end_canary(Provider& provider, std::string_view deployment, const CanaryPace& pace,
                           const Progress& progress) {
  BUNDLE_TRY(const DeploymentSpec canary, present_canary(provider, deployment));
  BUNDLE_TRY(const Release now, release_of(provider, deployment));
  if (auto ended = end_steps(provider, canary, now, pace, progress); !ended) {
    return retold(ended.error(), rollback_command(deployment) + " goes on from there.");
  }
  return release_of(provider, deployment);
}

std::optional<std::int64_t> requests_under_way(const std::string& url) {
  const auto response = http_request({.url = url + "/metrics",
                                      .connect_timeout = milliseconds(500),
                                      .timeout = milliseconds(2000)});
  if (!response || response->status != 200) return std::nullopt;
  std::optional<std::int64_t> sum;
  for (const char* name : {"\nvllm:num_requests_running", "\nvllm:num_requests_waiting{"}) {
    const std::size_t at = response->body.find(name);
    if (at == std::string::npos) continue;
    const std::size_t end = response->body.find('\n', at + 1);
    const std::string line = response->body.substr(at + 1, end - at - 1);
    const std::size_t blank = line.rfind(' ');
    double value = 0;
    const char* last = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + blank + 1, last, value);
    if (blank == std::string::npos || error != std::errc() || stop != last) continue;
    sum = sum.value_or(0) + static_cast<std::int64_t>(value);
  }
  return sum;
}

}  // namespace bundle::cloud
