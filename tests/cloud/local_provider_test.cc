#include "cloud/local/local_provider.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <future>
#include <gtest/gtest.h>
#include <thread>

#include "base/http_client.h"
#include "base/process.h"
#include "cloud/local/deployment_state.h"
#include "tests/cloud/local_deployments.h"

namespace bundle::cloud {
namespace {

class LocalProviderTest : public LocalDeployments {
 protected:
  static DeploymentSpec spec(const std::string& name) { return stub_spec(name, "b:latest"); }
};

TEST_F(LocalProviderTest, AppliesAndAnswers) {
  const auto status = provider_->apply(spec("one"), {});
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(status->state, "running");
  EXPECT_TRUE(status->ready);
  EXPECT_EQ(status->model, "b");
  EXPECT_EQ(status->revision, 1);
  EXPECT_EQ(http_request({.url = status->url + "/ready"})->status, 200);
}

TEST_F(LocalProviderTest, WithTlsReadinessIsAskedOnTheAdminPort) {
  DeploymentSpec secure = spec("one");
  secure.tls = {"/c.pem", "/k.pem", "/ca.pem"};
  EXPECT_TRUE(provider_->apply(secure, {}).has_error()) << "nowhere to ask";
  secure.admin_port = 18473;
  const auto status = provider_->apply(secure, {});
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_TRUE(status->ready);
  EXPECT_TRUE(status->url.starts_with("https://")) << status->url;
  EXPECT_EQ(http_request({.url = "http://127.0.0.1:18473/ready"})->status, 200);
}

TEST_F(LocalProviderTest, TheSameAgainChangesNothing) {
  const auto first = provider_->apply(spec("one"), {});
  ASSERT_TRUE(first);
  EXPECT_FALSE(provider_->plan(spec("one"))->changes);
  const auto second = provider_->apply(spec("one"), {});
  ASSERT_TRUE(second);
  EXPECT_EQ(first->pid, second->pid);
  EXPECT_EQ(second->revision, 1);
}

TEST_F(LocalProviderTest, AChangeMakesARevisionOnTheSamePort) {
  const auto first = provider_->apply(spec("one"), {});
  ASSERT_TRUE(first);
  DeploymentSpec changed = spec("one");
  changed.environment = {{"A", "b"}};
  EXPECT_TRUE(provider_->plan(changed)->changes);
  const auto second = provider_->apply(changed, {});
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->revision, 2);
  EXPECT_NE(second->pid, first->pid);
  EXPECT_EQ(second->url, first->url);
  EXPECT_FALSE(identify_process(static_cast<pid_t>(first->pid)));
}

TEST_F(LocalProviderTest, AFailedChangeLeavesTheOldOneRunning) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  DeploymentSpec broken = spec("one");
  broken.launch["runtime"] = JsonObject{{"fail", true}};
  const auto failed = provider_->apply(broken, {});
  ASSERT_TRUE(failed.has_error());
  EXPECT_NE(failed.error().remedy.find("the model is broken"), std::string::npos);
  const auto status = provider_->status("one");
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ready);
  EXPECT_EQ(status->revision, 1);
}

/// Whatever is said of it, from the first word on.
Progress stopped() {
  return [](std::string_view, std::uint64_t, std::uint64_t) { return false; };
}

TEST_F(LocalProviderTest, AnUpdateThatIsStoppedLeavesTheOldOneRunning) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  DeploymentSpec slow = spec("one");
  slow.launch["runtime"] = JsonObject{{"silent", true}};
  const auto cut = provider_->apply(slow, stopped());
  ASSERT_TRUE(cut.has_error());
  EXPECT_EQ(cut.error().code, ErrorCode::kInterrupted);
  EXPECT_NE(cut.error().remedy.find("Revision 1 runs again."), std::string::npos)
      << cut.error().remedy;
  const auto status = provider_->status("one");
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->ready);
  EXPECT_EQ(status->revision, 1);
  EXPECT_EQ(status->message, "");
}

TEST_F(LocalProviderTest, WhatCannotBeWrittenLeavesTheServerAlone) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  const std::int64_t pid = provider_->status("one")->pid;
  // In the way of the next revision's launch document.
  std::filesystem::create_directories(home_ / "deployments" / "one" / "launch-2.json" / "x");
  DeploymentSpec changed = spec("one");
  changed.environment = {{"A", "1"}};
  const auto failed = provider_->apply(changed, {});
  ASSERT_TRUE(failed.has_error());
  EXPECT_NE(failed.error().remedy.find("Nothing was touched: revision 1 runs."), std::string::npos)
      << failed.error().remedy;
  EXPECT_EQ(provider_->status("one")->pid, pid);
}

TEST_F(LocalProviderTest, AChangeThatWasCutOffIsMarked) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  auto state = load_state("one").value();
  state.pending = true;  // as an apply leaves it that was killed
  ASSERT_TRUE(save_state("one", state));
  EXPECT_NE(provider_->status("one")->message.find("not applied to its end"), std::string::npos);
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  EXPECT_EQ(provider_->status("one")->message, "");
}

TEST_F(LocalProviderTest, DeploymentsAtOnceTakePortsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back(
        [this, i, &good] { good += provider_->apply(spec("n" + std::to_string(i)), {}) ? 1 : 0; });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(good, 4);
}

TEST_F(LocalProviderTest, AFailedFirstStartLeavesNothing) {
  DeploymentSpec broken = spec("one");
  broken.launch["runtime"] = JsonObject{{"fail", true}};
  ASSERT_TRUE(provider_->apply(broken, {}).has_error());
  EXPECT_EQ(provider_->status("one").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(provider_->list()->empty());
}

TEST_F(LocalProviderTest, RollbackReturnsToTheRevisionBefore) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  DeploymentSpec changed = spec("one");
  changed.bundle = "b:two";
  ASSERT_TRUE(provider_->apply(changed, {}));
  const auto back = provider_->rollback("one", 0, {});
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->bundle, "b:latest");
  EXPECT_EQ(back->revision, 3);
  EXPECT_EQ(provider_->rollback("one", 99, {}).error().code, ErrorCode::kNotFound);
}

TEST_F(LocalProviderTest, APortThatAnotherServerHasIsNoSuccess) {
  const auto one = provider_->apply(spec("one"), {});
  ASSERT_TRUE(one) << one.error().message();
  DeploymentSpec two = spec("two");
  two.port = static_cast<std::uint16_t>(std::stoi(one->url.substr(one->url.rfind(':') + 1)));
  EXPECT_TRUE(provider_->apply(two, {}).has_error());
  EXPECT_EQ(provider_->list()->size(), 1u);
  EXPECT_TRUE(provider_->status("one")->ready);
}

TEST_F(LocalProviderTest, TwoDeploymentsTakeTwoPorts) {
  const auto one = provider_->apply(spec("one"), {});
  const auto two = provider_->apply(spec("two"), {});
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->url, two->url);
  EXPECT_EQ(provider_->list()->size(), 2u);
}

TEST_F(LocalProviderTest, AKilledServerIsSeenAndStartedAgain) {
  const auto first = provider_->apply(spec("one"), {});
  ASSERT_TRUE(first);
  const auto identity = identify_process(static_cast<pid_t>(first->pid));
  ASSERT_TRUE(identity);
  ASSERT_TRUE(signal_process(*identity, SIGKILL));
  ASSERT_TRUE(wait_gone(*identity, std::chrono::seconds(5)));
  EXPECT_EQ(provider_->status("one")->state, "stopped");
  const auto again = provider_->apply(spec("one"), {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(again->ready);
  EXPECT_EQ(again->revision, 1);
}

TEST_F(LocalProviderTest, LogsGiveTheLastLines) {
  ASSERT_TRUE(provider_->apply(spec("one"), {}));
  std::string text;
  ASSERT_TRUE(provider_->logs("one", {.lines = 1}, [&](std::string_view piece) {
    text += piece;
    return true;
  }));
  EXPECT_EQ(text, "ready http://127.0.0.1\n");
}

TEST_F(LocalProviderTest, RemoveEndsTheServer) {
  const auto status = provider_->apply(spec("one"), {});
  ASSERT_TRUE(status);
  ASSERT_TRUE(provider_->remove("one", {}));
  EXPECT_FALSE(identify_process(static_cast<pid_t>(status->pid)));
  EXPECT_EQ(provider_->remove("one", {}).error().code, ErrorCode::kNotFound);
}

TEST_F(LocalProviderTest, NoLockStaysOfWhatIsGone) {
  const auto locks = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(home_ / "deployments")) {
      count += entry.path().extension() == ".lock" && entry.path().filename() != ".=ports.lock";
    }
    return count;
  };
  ASSERT_TRUE(provider_->apply(stub_spec("prod", "m:1"), {}));
  ASSERT_TRUE(provider_->remove("prod", {}));
  EXPECT_EQ(locks(), 0u);
  DeploymentSpec broken = spec("prod");
  broken.launch["runtime"] = JsonObject{{"fail", true}};
  EXPECT_TRUE(provider_->apply(broken, {}).has_error());
  EXPECT_TRUE(provider_->rollback("nothing", 0, {}).has_error());
  EXPECT_TRUE(provider_->restart("nothing", {}).has_error());
  EXPECT_EQ(locks(), 0u);
}

TEST_F(LocalProviderTest, ALockThatWasTakenAwayIsMadeAnew) {
  auto held = lock_deployment("prod");
  ASSERT_TRUE(held);
  auto waiting = std::async(std::launch::async, [] { return lock_deployment("prod"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  remove_lock("prod", *held);
  *held = Fd();
  ASSERT_TRUE(waiting.get());
  EXPECT_TRUE(std::filesystem::exists(home_ / "deployments" / ".prod.lock"));
}

TEST_F(LocalProviderTest, NamesThatAreNoFolderAreRefused) {
  for (const char* name : {"", "../x", "a/b", ".hidden", "-x"}) {
    EXPECT_EQ(provider_->apply(spec(name), {}).error().code, ErrorCode::kUsage) << name;
  }
}

}  // namespace
}  // namespace bundle::cloud
