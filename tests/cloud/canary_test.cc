// Canaries over real processes on this machine: what is started, split, promoted, ended, and what
// remains when a step is cut off.
#include "cloud/canary.h"

#include <cstdlib>
#include <gtest/gtest.h>

#include "base/http_client.h"
#include "base/process.h"
#include "tests/cloud/local_deployments.h"

namespace bundle::cloud {
namespace {

class CanaryTest : public LocalDeployments {
 protected:
  static DeploymentSpec spec(const std::string& bundle) { return stub_spec("prod", bundle); }
  DeploymentSpec canary(const std::string& bundle, int percent) const {
    auto made = canary_spec(spec(bundle), percent);
    EXPECT_TRUE(made) << made.error().message();
    return *made;
  }
  /// The deployment with "old", and its canary with "new" at 10 %.
  void start_both() {
    const auto old_one = provider_->apply(spec("old"), {});
    ASSERT_TRUE(old_one) << old_one.error().message();
    const auto release = start_canary(*provider_, canary("new", 10), {});
    ASSERT_TRUE(release) << release.error().message();
  }
  Release release() const {
    auto now = release_of(*provider_, "prod");
    EXPECT_TRUE(now) << now.error().message();
    return now ? *now : Release{};
  }
  /// Stops the work when it tells of a stage that begins so.
  static Progress until(const std::string& stage) {
    return [stage](std::string_view now, std::uint64_t, std::uint64_t) {
      return !now.starts_with(stage);
    };
  }
};

TEST_F(CanaryTest, RunsBesideTheDeploymentAndIsFoundOnTheTarget) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const Release now = release();
  ASSERT_TRUE(now.canary);
  EXPECT_EQ(now.stable.bundle, "old");
  EXPECT_EQ(now.stable.revision, 1);
  EXPECT_EQ(now.stable.weight, 90);
  EXPECT_TRUE(now.stable.ready);
  EXPECT_EQ(now.canary->bundle, "new");
  EXPECT_EQ(now.canary->weight, 10);
  EXPECT_EQ(now.canary->canary_of, "prod");
  EXPECT_TRUE(now.canary->ready);
  EXPECT_NE(now.canary->url, now.stable.url);
  EXPECT_EQ(now.unfinished(), "");
  const auto endpoints = weighted_endpoints(*provider_, "prod");
  ASSERT_TRUE(endpoints);
  ASSERT_EQ(endpoints->size(), 2u);
  EXPECT_EQ(endpoints->at(0).url, now.stable.url);
  EXPECT_EQ(endpoints->at(0).weight, 90);
  EXPECT_EQ(endpoints->at(1).revision, "canary");
  EXPECT_EQ(endpoints->at(1).weight, 10);
  const Json document = to_json(now);
  EXPECT_EQ(document.at("weight"), 90);
  EXPECT_EQ(document.at("canary").at("bundle"), "new");
}

TEST_F(CanaryTest, AnotherPartIsARevisionAndTouchesNoServer) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const std::int64_t pid = release().canary->pid;
  const auto plan = plan_canary(*provider_, canary("new", 50));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->changes);
  EXPECT_EQ(plan->steps, std::vector<std::string>{"send it 50 % of the requests instead of 10 %"});
  const auto more = start_canary(*provider_, canary("new", 50), {});
  ASSERT_TRUE(more) << more.error().message();
  EXPECT_EQ(more->canary->pid, pid);
  EXPECT_EQ(more->canary->revision, 2);
  EXPECT_EQ(more->stable.weight, 50);
  EXPECT_FALSE(plan_canary(*provider_, canary("new", 50))->changes);
  const auto same = start_canary(*provider_, canary("new", 50), {});
  ASSERT_TRUE(same);
  EXPECT_EQ(same->canary->revision, 2);
  EXPECT_EQ(same->canary->pid, pid);
}

TEST_F(CanaryTest, ThePlanSaysWhatDiffersFromTheDeployment) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  const auto plan = plan_canary(*provider_, canary("new", 10));
  ASSERT_TRUE(plan);
  bool named = false;
  for (const Change& change : plan->differences) {
    named |= change.path == "bundle" && change.before == "old" && change.after == "new";
    EXPECT_NE(change.path, "name");
    EXPECT_NE(change.path, "port");
  }
  EXPECT_TRUE(named);
  EXPECT_EQ(plan->steps.back(), "send it 10 % of the requests to 'prod'");
  EXPECT_FALSE(release().canary) << "a plan changes nothing";
}

TEST_F(CanaryTest, OneThatDoesNotComeUpLeavesNothing) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  const std::int64_t pid = release().stable.pid;
  DeploymentSpec broken = canary("new", 10);
  broken.launch["runtime"] = JsonObject{{"fail", true}};
  const auto failed = start_canary(*provider_, broken, {});
  ASSERT_TRUE(failed.has_error());
  EXPECT_NE(failed.error().remedy.find("the model is broken"), std::string::npos);
  EXPECT_NE(failed.error().remedy.find("'prod' was not touched"), std::string::npos);
  EXPECT_FALSE(release().canary);
  EXPECT_EQ(release().stable.pid, pid);
  EXPECT_EQ(provider_->list()->size(), 1u);
}

TEST_F(CanaryTest, PromotionKeepsTheAddressAndIsARevision) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const Release before = release();
  const auto plan = plan_promotion(*provider_, "prod");
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->revision, 2);
  EXPECT_EQ(plan->steps.size(), 4u);
  const auto after = promote(*provider_, "prod", {}, {});
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_EQ(after->stable.bundle, "new");
  EXPECT_EQ(after->stable.revision, 2);
  EXPECT_EQ(after->stable.url, before.stable.url);
  EXPECT_EQ(after->stable.weight, 100);
  EXPECT_TRUE(after->stable.ready);
  EXPECT_FALSE(after->canary);
  EXPECT_FALSE(identify_process(static_cast<pid_t>(before.canary->pid)));
  EXPECT_EQ(provider_->list()->size(), 1u);
  const auto back = provider_->rollback("prod", 0, {});
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bundle, "old");
}

TEST_F(CanaryTest, WhatWasScaledOrSetMeanwhileStays) {
  DeploymentSpec stable = spec("old");
  stable.environment = {{"A", "b"}};
  stable.port = 18474;
  DeploymentSpec other = spec("new");
  other.canary = {"prod", 10, "", 0};
  const DeploymentSpec promoted = promoted_spec(stable, other);
  EXPECT_EQ(promoted.bundle, "new");
  EXPECT_EQ(promoted.environment, stable.environment);
  EXPECT_EQ(promoted.port, 18474);
  EXPECT_FALSE(promoted.canary.is_on());
}

TEST_F(CanaryTest, EndingItLeavesTheDeploymentAsItIs) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const Release before = release();
  const auto after = end_canary(*provider_, "prod", {}, {});
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_FALSE(after->canary);
  EXPECT_EQ(after->stable.pid, before.stable.pid);
  EXPECT_EQ(after->stable.revision, 1);
  EXPECT_EQ(after->stable.weight, 100);
  EXPECT_FALSE(identify_process(static_cast<pid_t>(before.canary->pid)));
  EXPECT_EQ(end_canary(*provider_, "prod", {}, {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(promote(*provider_, "prod", {}, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(CanaryTest, ADeadOneIsNotPromotedAndNotStartedToBeEnded) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const auto process = identify_process(static_cast<pid_t>(release().canary->pid));
  ASSERT_TRUE(process);
  ASSERT_TRUE(signal_process(*process, SIGKILL));
  ASSERT_TRUE(wait_gone(*process, std::chrono::seconds(5)));
  const auto refused = promote(*provider_, "prod", {}, {});
  EXPECT_EQ(refused.error().code, ErrorCode::kFailed);
  EXPECT_EQ(release().stable.bundle, "old");
  EXPECT_EQ(release().stable.weight, 90);
  EXPECT_TRUE(end_canary(*provider_, "prod", {}, {}));
  EXPECT_FALSE(release().canary);
}

TEST_F(CanaryTest, APromotionThatIsCutOffIsMarkedAndGoesOn) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const CanaryPace pace{std::chrono::milliseconds(100)};
  const auto cut = promote(*provider_, "prod", pace, until("sending every request to the canary"));
  ASSERT_TRUE(cut.has_error());
  EXPECT_EQ(cut.error().code, ErrorCode::kInterrupted);
  EXPECT_NE(cut.error().remedy.find("'bundle promote prod'"), std::string::npos);
  EXPECT_NE(cut.error().remedy.find("'bundle rollback prod'"), std::string::npos);
  EXPECT_EQ(release().role.phase, "promoting");
  EXPECT_EQ(release().stable.weight, 0);
  EXPECT_NE(release().unfinished().find("'bundle promote prod'"), std::string::npos);
  EXPECT_EQ(release().stable.bundle, "old");
  EXPECT_EQ(start_canary(*provider_, canary("new", 20), {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(plan_canary(*provider_, canary("new", 20)).error().code, ErrorCode::kUsage);
  EXPECT_EQ(release().role.phase, "promoting");

  const auto later = promote(*provider_, "prod", pace, until("sending every request to 'prod'"));
  ASSERT_TRUE(later.has_error());
  EXPECT_EQ(release().role.phase, "ending");
  EXPECT_EQ(release().stable.bundle, "new");
  EXPECT_EQ(release().stable.weight, 100);
  const std::int64_t pid = release().stable.pid;

  const auto done = promote(*provider_, "prod", pace, {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_FALSE(done->canary);
  EXPECT_EQ(done->stable.pid, pid) << "what was done is not done again";
  EXPECT_EQ(done->stable.revision, 2);
}

TEST_F(CanaryTest, RollbackUndoesAPromotionThatWasCutOff) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  DeploymentSpec marked = canary("new", 10);
  marked.canary.phase = "promoting";
  marked.canary.base = 1;
  ASSERT_TRUE(provider_->apply(marked, {}));
  ASSERT_TRUE(provider_->apply(promoted_spec(spec("old"), marked), {}));
  const auto back = end_canary(*provider_, "prod", {}, {});
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->stable.bundle, "old");
  EXPECT_EQ(back->stable.revision, 3);
  EXPECT_FALSE(back->canary);
}

TEST_F(CanaryTest, ARevisionThatFailsInItsPlaceLeavesBothAsTheyWere) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  const Path program = home_ / "stub";
  std::filesystem::copy_file(STUB_SERVER, program);
  DeploymentSpec fragile = canary("new", 10);
  fragile.server = {program.string()};
  ASSERT_TRUE(start_canary(*provider_, fragile, {}));
  std::filesystem::remove(program);
  const auto failed = promote(*provider_, "prod", {}, {});
  ASSERT_TRUE(failed.has_error());
  EXPECT_NE(failed.error().remedy.find("'bundle rollback prod'"), std::string::npos);
  const Release now = release();
  EXPECT_EQ(now.stable.bundle, "old");
  EXPECT_TRUE(now.stable.ready);
  EXPECT_EQ(now.stable.weight, 90);
  ASSERT_TRUE(now.canary);
  EXPECT_TRUE(now.canary->ready);
  EXPECT_EQ(now.role.phase, "");
}

TEST_F(CanaryTest, RequestsOfTheOldRevisionAreWaitedForWithinTheDrainsLimit) {
  DeploymentSpec busy = spec("old");
  busy.launch["runtime"] = JsonObject{{"running", 3}};
  const auto status = provider_->apply(busy, {});
  ASSERT_TRUE(status);
  EXPECT_EQ(requests_under_way(status->url), 3);
  ASSERT_TRUE(start_canary(*provider_, canary("new", 10), {}));
  int waited = 0;
  const auto done =
      promote(*provider_, "prod", {}, [&](std::string_view stage, std::uint64_t, std::uint64_t) {
        waited += stage == "waiting for 3 requests of the old revision";
        return true;
      });
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_GT(waited, 0);
  EXPECT_EQ(done->stable.bundle, "new");
  EXPECT_FALSE(requests_under_way("http://127.0.0.1:1"));
}

TEST_F(CanaryTest, NamesAndFormsThatCannotBeAreRefused) {
  DeploymentSpec secure = spec("new");
  secure.tls = {"/c.pem", "/k.pem", ""};
  EXPECT_EQ(canary_spec(secure, 10).error().code, ErrorCode::kBadInput);
  DeploymentSpec of_canary = canary("new", 10);
  EXPECT_EQ(canary_spec(of_canary, 10).error().code, ErrorCode::kBadInput);
  DeploymentSpec long_name = spec("new");
  long_name.name = std::string(57, 'n');
  EXPECT_EQ(canary_spec(long_name, 10).error().code, ErrorCode::kUsage);
  for (const char* name : {"../x", "a/b", ".hidden", "-x", "x;reboot", "$(id)"}) {
    DeploymentSpec bad = canary("new", 10);
    bad.canary.of = name;
    EXPECT_TRUE(provider_->apply(bad, {}).has_error()) << name;
    EXPECT_TRUE(release_of(*provider_, name).has_error()) << name;
    EXPECT_TRUE(promote(*provider_, name, {}, {}).has_error()) << name;
    EXPECT_TRUE(end_canary(*provider_, name, {}, {}).has_error()) << name;
  }
  EXPECT_TRUE(provider_->list()->empty());
}

TEST_F(CanaryTest, AnotherDeploymentOfItsNameIsLeftAlone) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  DeploymentSpec own = spec("own");
  own.name = "prod-canary";
  ASSERT_TRUE(provider_->apply(own, {}));
  EXPECT_FALSE(release().canary);
  EXPECT_EQ(start_canary(*provider_, canary("new", 10), {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(end_canary(*provider_, "prod", {}, {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(provider_->status("prod-canary")->bundle, "own");
  EXPECT_TRUE(refuse_canary_name(*provider_, "prod-canary"));
}

TEST_F(CanaryTest, ItsOwnCommandsAreNamed) {
  ASSERT_NO_FATAL_FAILURE(start_both());
  const Status refused = refuse_canary_name(*provider_, "prod-canary");
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_NE(refused.error().remedy.find("'bundle promote prod'"), std::string::npos);
  EXPECT_EQ(refuse_beside_canary(*provider_, "prod").error().code, ErrorCode::kUsage);
  EXPECT_TRUE(refuse_canary_name(*provider_, "prod"));
  EXPECT_TRUE(refuse_beside_canary(*provider_, "prod-canary"));
}

TEST_F(CanaryTest, ARestartIsTheSameRevisionOnTheSameAddress) {
  const auto before = provider_->apply(spec("old"), {});
  ASSERT_TRUE(before);
  // A first Ctrl-C while it drains must not leave the endpoint without a server.
  const auto after = provider_->restart("prod", until("draining"));
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_NE(after->pid, before->pid);
  EXPECT_EQ(after->url, before->url);
  EXPECT_EQ(after->revision, 1);
  EXPECT_EQ(provider_->restart("none", {}).error().code, ErrorCode::kNotFound);
}

TEST(CanaryTargets, OthersSayWhatToUseInstead) {
  for (const std::string& target : target_names()) {
    const auto provider = make_provider({target, {}});
    ASSERT_TRUE(provider);
    const Status can = (*provider)->check_canary();
    const bool ours = target == "local" || target == "systemd" || target == "ssh";
    EXPECT_EQ(static_cast<bool>(can), ours) << target;
    if (can) continue;
    EXPECT_EQ(can.error().code, ErrorCode::kUsage) << target;
    EXPECT_FALSE(can.error().remedy.empty()) << target;
  }
}

TEST(CanaryRoles, AreKeptWithTheSpecificationAndOrdinaryOnesHaveNone) {
  DeploymentSpec spec;
  spec.name = "prod";
  EXPECT_EQ(spec.to_json().get_object().if_contains("canary"), nullptr);
  spec.canary = {"prod", 25, "promoting", 4};
  const auto again = DeploymentSpec::from_json(spec.to_json(), "test");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->canary, spec.canary);
  EXPECT_EQ(spec.canary.share(), 100);
  spec.canary.phase = "ending";
  EXPECT_EQ(spec.canary.share(), 0);
  spec.canary.phase = "dancing";
  EXPECT_EQ(check(spec).error().code, ErrorCode::kBadInput);
  spec.canary = {"prod", 101, "", 0};
  EXPECT_EQ(check(spec).error().code, ErrorCode::kBadInput);
}

TEST(CanaryLists, ADeploymentsWeightIsWhatItsCanaryLeaves) {
  std::vector<DeploymentStatus> all(3);
  all[0].name = "prod";
  all[1].name = "prod-canary";
  all[1].canary_of = "prod";
  all[1].weight = 30;
  all[2].name = "other";
  weigh(all);
  EXPECT_EQ(all[0].weight, 70);
  EXPECT_EQ(all[1].weight, 30);
  EXPECT_EQ(all[2].weight, 100);
}

}  // namespace
}  // namespace bundle::cloud
