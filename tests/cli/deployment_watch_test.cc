#include "cli/deployment_watch.h"

#include <atomic>
#include <gtest/gtest.h>

#include "cloud/canary.h"

namespace bundle::cli {
namespace {

using std::chrono::milliseconds;

/// What a target says, to be changed while it is watched.
struct Told {
  std::mutex mutex;
  std::vector<std::string> stable = {"http://127.0.0.1:8000"};
  int canary_percent = -1;  // no canary
  std::optional<Error> error;
  std::atomic<int> looks = 0;
};

/// A target that knows "prod" and its canary.
class FakeTarget final : public cloud::Provider {
 public:
  explicit FakeTarget(std::shared_ptr<Told> told) : told_(std::move(told)) {}

  std::string_view name() const override { return "fake"; }
  Status check_canary() const override { return {}; }
  Result<cloud::DeploymentSpec> specification(std::string_view deployment,
                                              std::int64_t) const override {
    const std::lock_guard lock(told_->mutex);
    cloud::DeploymentSpec spec;
    spec.name = deployment;
    if (deployment == "prod") return spec;
    if (told_->error) return *told_->error;
    if (told_->canary_percent < 0) return not_found("no canary");
    spec.canary = {"prod", told_->canary_percent, "", 0};
    return spec;
  }
  Result<std::vector<std::string>> endpoints(std::string_view deployment) const override {
    ++told_->looks;
    const std::lock_guard lock(told_->mutex);
    if (told_->error) return *told_->error;
    if (deployment == "prod") return told_->stable;
    return std::vector<std::string>{"http://127.0.0.1:8001"};
  }

  Result<std::vector<cloud::RenderedFile>> render(const cloud::DeploymentSpec&) const override {
    return failed("not asked for");
  }
  Result<cloud::DeploymentPlan> plan(const cloud::DeploymentSpec&) const override {
    return failed("not asked for");
  }
  Result<cloud::DeploymentStatus> apply(const cloud::DeploymentSpec&, const Progress&) override {
    return failed("not asked for");
  }
  Result<cloud::DeploymentStatus> status(std::string_view) const override {
    return failed("not asked for");
  }
  Result<std::vector<cloud::DeploymentStatus>> list() const override {
    return failed("not asked for");
  }
  Status logs(std::string_view, const cloud::LogOptions&,
              const std::function<bool(std::string_view)>&) const override {
    return failed("not asked for");
  }
  Result<cloud::DeploymentStatus> rollback(std::string_view, std::int64_t,
                                           const Progress&) override {
    return failed("not asked for");
  }
  Status remove(std::string_view, const Progress&) override { return failed("not asked for"); }

 private:
  std::shared_ptr<Told> told_;
};

class Watch : public testing::Test {
 protected:
  Result<std::unique_ptr<DeploymentWatch>> start() {
    return DeploymentWatch::start(std::make_unique<FakeTarget>(told_), "prod", milliseconds(5));
  }
  /// Changes what the target says and waits until it was looked at twice.
  void tell(const std::function<void(Told&)>& change) {
    {
      const std::lock_guard lock(told_->mutex);
      change(*told_);
    }
    const int seen = told_->looks;
    for (int i = 0; i < 1000 && told_->looks < seen + 4; ++i) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  std::shared_ptr<Told> told_ = std::make_shared<Told>();
};

TEST_F(Watch, FollowsACanaryFromItsStartToItsEnd) {
  const auto watch = start();
  ASSERT_TRUE(watch) << watch.error().message();
  ASSERT_EQ((*watch)->backends().size(), 1u);
  EXPECT_EQ((*watch)->backends()[0].group, "stable");
  EXPECT_EQ((*watch)->backends()[0].weight, 100);
  tell([](Told& told) { told.canary_percent = 30; });
  ASSERT_EQ((*watch)->backends().size(), 2u);
  EXPECT_EQ((*watch)->backends()[0].weight, 70);
  EXPECT_EQ((*watch)->backends()[1].weight, 30);
  EXPECT_EQ((*watch)->backends()[1].group, "canary");
  EXPECT_EQ((*watch)->backends()[1].name(), "127.0.0.1:8001");
  tell([](Told& told) {
    told.canary_percent = -1;
    told.stable.emplace_back("http://127.0.0.1:8002");
  });
  ASSERT_EQ((*watch)->backends().size(), 2u);
  EXPECT_EQ((*watch)->backends()[1].group, "stable");
}

TEST_F(Watch, ATargetThatDoesNotAnswerChangesNothing) {
  told_->canary_percent = 10;
  const auto watch = start();
  ASSERT_TRUE(watch);
  told_->stable.clear();
  {
    const std::lock_guard lock(told_->mutex);
    told_->error = Error{ErrorCode::kUnreachable, "the host is down"};
  }
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ((*watch)->backends().size(), 2u);
}

TEST_F(Watch, ADeploymentThatIsGoneHasNoReplicas) {
  const auto watch = start();
  ASSERT_TRUE(watch);
  tell([](Told& told) { told.error = not_found("gone"); });
  EXPECT_TRUE((*watch)->backends().empty());
}

TEST_F(Watch, WhatAGatewayCannotSpeakToIsRefusedAtTheStart) {
  told_->stable = {"https://127.0.0.1:8000"};
  EXPECT_EQ(start().error().code, ErrorCode::kBadInput);
  told_->error = Error{ErrorCode::kUnreachable, "the host is down"};
  EXPECT_EQ(start().error().code, ErrorCode::kUnreachable);
}

TEST(WatchPace, AChangeIsSeenBeforeItIsRelied) {
  for (const char* target : {"local", "systemd", "ssh"}) {
    // One look that has just missed it, and the gateway's own second.
    EXPECT_GE(watch_settle(target), watch_interval(target) + milliseconds(1000)) << target;
  }
}

}  // namespace
}  // namespace bundle::cli
