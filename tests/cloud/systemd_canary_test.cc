// Canaries on hosts with systemd, over a systemctl that keeps books and starts nothing: which units
// are written, restarted and taken away.
#include <cstdlib>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/text.h"
#include "cloud/canary.h"
#include "cloud/systemd/systemd_provider.h"

namespace bundle::cloud {
namespace {

constexpr char kSystemctl[] = R"sh(#!/bin/sh
d=$(dirname -- "$0")/units
mkdir -p "$d"
verb=$1
for unit; do :; done
case $verb in
  show) [ -e "$d/$unit" ] || { echo ActiveState=inactive; exit; }
        if [ -e "$d/.slow" ]; then echo ActiveState=activating; else echo ActiveState=active; fi
        echo "InvocationID=$(cat "$d/$unit")"; echo MainPID=1 ;;
  restart) n=$(cat "$d/.n" 2>/dev/null || echo 0); echo $((n + 1)) >"$d/.n"; cp "$d/.n" "$d/$unit" ;;
  stop) rm -f "$d/$unit" ;;
esac
)sh";

class SystemdCanary : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bundle_systemd_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
    ASSERT_TRUE(make_directories(home_ / "bin"));
    ASSERT_TRUE(make_directories(home_ / "etc"));
    ASSERT_TRUE(write_file_atomic(home_ / "bin" / "systemctl", kSystemctl));
    std::filesystem::permissions(home_ / "bin" / "systemctl", std::filesystem::perms::owner_all);
    path_ = std::getenv("PATH");
    ::setenv("PATH", ((home_ / "bin").string() + ":" + path_).c_str(), 1);
    ::setenv("BUNDLE_HOME", home_.c_str(), 1);
    provider_ = make_systemd_provider({{"root", root()}, {"units", (home_ / "etc").string()}});
  }
  void TearDown() override {
    ::setenv("PATH", path_.c_str(), 1);
    std::filesystem::remove_all(home_);
  }

  std::string root() const { return (home_ / "lib").string(); }

  /// In host form, as if its blobs had been sent.
  DeploymentSpec spec(const std::string& bundle) const {
    DeploymentSpec spec;
    spec.name = "prod";
    spec.target = "systemd";
    spec.bundle = bundle;
    spec.server = {root() + "/runtime/aa/server"};
    spec.launch =
        JsonObject{{"name", bundle},
                   {"model", JsonArray{JsonObject{{"path", root() + "/blobs/sha256/" + bundle}}}}};
    spec.scaling.min_replicas = 2;
    spec.scaling.max_replicas = 2;
    return spec;
  }
  std::string invocation(const std::string& unit) const {
    const auto text = read_file(home_ / "bin" / "units" / unit);
    return text ? *text : "";
  }
  bool has_unit(const std::string& unit) const {
    return std::filesystem::exists(home_ / "etc" / unit);
  }
  std::vector<std::string> secret_files(const std::string& deployment) const {
    std::vector<std::string> files;
    for (const auto& entry :
         std::filesystem::directory_iterator(root() + "/deployments/" + deployment)) {
      if (entry.path().filename().string().starts_with("secrets-")) {
        files.push_back(entry.path().string());
      }
    }
    return files;
  }

  Path home_;
  std::string path_;
  std::unique_ptr<Provider> provider_;
};

TEST_F(SystemdCanary, IsOneUnitMoreWithAPortAndTheSecretsOfTheDeployment) {
  DeploymentSpec stable = spec("old");
  ASSERT_TRUE(write_file_atomic(home_ / "token", "s3cret\n"));
  stable.secrets = {{"TOKEN", (home_ / "token").string()}};
  ASSERT_TRUE(provider_->apply(stable, {}));
  std::filesystem::remove(home_ / "token");  // another machine has no such file
  const auto kept = provider_->specification("prod", 0);
  ASSERT_TRUE(kept);
  DeploymentSpec changed = *kept;
  changed.bundle = "new";
  const auto canary = canary_spec(changed, 20);
  ASSERT_TRUE(canary);
  const auto release = start_canary(*provider_, *canary, {});
  ASSERT_TRUE(release) << release.error().message();
  EXPECT_TRUE(has_unit("bundle-prod-canary-0.service"));
  EXPECT_FALSE(has_unit("bundle-prod-canary-1.service"));
  EXPECT_EQ(invocation("bundle-prod-0.service"), "1\n");
  EXPECT_EQ(invocation("bundle-prod-1.service"), "2\n");
  EXPECT_EQ(release->stable.weight, 80);
  const auto endpoints = weighted_endpoints(*provider_, "prod");
  ASSERT_TRUE(endpoints);
  ASSERT_EQ(endpoints->size(), 3u);
  EXPECT_EQ(endpoints->at(0).url, "http://127.0.0.1:8000");
  EXPECT_EQ(endpoints->at(2).url, "http://127.0.0.1:8002");
  EXPECT_EQ(endpoints->at(2).weight, 20);
  ASSERT_EQ(secret_files("prod-canary").size(), 1u);
  const std::string file = secret_files("prod-canary").front();
  EXPECT_EQ(read_file(file).value(), "TOKEN=\"s3cret\"\n");
  EXPECT_EQ(std::filesystem::status(file).permissions() & std::filesystem::perms::group_all,
            std::filesystem::perms::none);
}

TEST_F(SystemdCanary, AnotherPartRestartsNothing) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  ASSERT_TRUE(start_canary(*provider_, *canary_spec(spec("new"), 20), {}));
  const std::string before = invocation("bundle-prod-canary-0.service");
  const auto more = start_canary(*provider_, *canary_spec(spec("new"), 60), {});
  ASSERT_TRUE(more) << more.error().message();
  EXPECT_EQ(more->stable.weight, 40);
  EXPECT_EQ(more->canary->revision, 2);
  EXPECT_EQ(invocation("bundle-prod-canary-0.service"), before);
}

TEST_F(SystemdCanary, PromotionReplacesEachReplicaAndTakesTheUnitAway) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  ASSERT_TRUE(start_canary(*provider_, *canary_spec(spec("new"), 20), {}));
  const auto done = promote(*provider_, "prod", {}, {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->stable.bundle, "new");
  EXPECT_EQ(done->stable.revision, 2);
  EXPECT_EQ(done->stable.replicas.size(), 2u);
  EXPECT_EQ(invocation("bundle-prod-0.service"), "4\n");
  EXPECT_EQ(invocation("bundle-prod-1.service"), "5\n");
  EXPECT_FALSE(has_unit("bundle-prod-canary-0.service"));
  EXPECT_FALSE(std::filesystem::exists(root() + "/deployments/prod-canary"));
  const auto names = provider_->list();
  ASSERT_TRUE(names);
  EXPECT_EQ(names->size(), 1u);
}

TEST_F(SystemdCanary, EndingItTouchesNoOtherUnit) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  ASSERT_TRUE(start_canary(*provider_, *canary_spec(spec("new"), 20), {}));
  const auto after = end_canary(*provider_, "prod", {}, {});
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_FALSE(has_unit("bundle-prod-canary-0.service"));
  EXPECT_EQ(invocation("bundle-prod-0.service"), "1\n");
  EXPECT_EQ(after->stable.revision, 1);
}

TEST_F(SystemdCanary, ACutOffStartNamesTheCanarysOwnCommands) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  ASSERT_TRUE(write_file_atomic(home_ / "bin" / "units" / ".slow", ""));
  const auto stopped = [](std::string_view, std::uint64_t, std::uint64_t) { return false; };
  const auto cut = start_canary(*provider_, *canary_spec(spec("new"), 20), stopped);
  ASSERT_TRUE(cut.has_error());
  EXPECT_EQ(cut.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(cut.error().remedy.find("bundle deploy"), std::string::npos) << cut.error().remedy;
  EXPECT_NE(cut.error().remedy.find("'bundle update prod --canary 20%'"), std::string::npos);
  const auto marked = release_of(*provider_, "prod");
  ASSERT_TRUE(marked && marked->canary);
  EXPECT_NE(marked->canary->message.find("'bundle update prod --canary 20%'"), std::string::npos)
      << marked->canary->message;
  std::filesystem::remove(home_ / "bin" / "units" / ".slow");
  const auto again = start_canary(*provider_, *canary_spec(spec("new"), 20), {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(again->canary->ready);
  EXPECT_EQ(again->canary->message, "");
}

TEST_F(SystemdCanary, ARestartRollsEveryReplica) {
  ASSERT_TRUE(provider_->apply(spec("old"), {}));
  const auto after = provider_->restart("prod", {});
  ASSERT_TRUE(after) << after.error().message();
  EXPECT_EQ(after->revision, 1);
  EXPECT_EQ(invocation("bundle-prod-0.service"), "3\n");
  EXPECT_EQ(invocation("bundle-prod-1.service"), "4\n");
}

}  // namespace
}  // namespace bundle::cloud
