// What happens to the store when a build or an import is killed, or cannot write, or is not alone.
// Each case runs in a child process; for kills, ptrace stops it before every system call that
// changes a file.
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packager/build.h"
#include "packager/store.h"
#include "packager/store_files.h"
#include "packager/transfer/archive.h"
#include "tests/packager/killed_child.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::IsEmpty;

class Crash : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path root_ = folder_.path() / "store";
  StorePaths paths_{root_};

  void SetUp() override { ASSERT_TRUE(sample::write_model(model_)); }

  Result<BuildResult> build_model(const std::string& name = "tiny") const {
    BUNDLE_TRY(Store store, Store::open(root_));
    BuildOptions options = sample::no_runtime();
    options.name = name;
    return build(model_, store, options, {});
  }

  /// A build of "tiny" is there, `change` is made, and `work` builds anew: killed before any of its
  /// calls, of which there are more than `least`, it leaves the old bundle or the new one, nothing
  /// half written, and succeeds when it is run again.
  void kill_anywhere(const std::function<Result<BuildResult>()>& work, int least,
                     const std::function<void()>& change) {
    const auto old = build_model();
    ASSERT_TRUE(old);
    const Path base = folder_.path() / "base";
    std::filesystem::copy(root_, base, std::filesystem::copy_options::recursive);
    change();
    const auto expected = work();
    ASSERT_TRUE(expected) << expected.error().message();
    const auto blobs = sample::files_below(paths_.blobs());
    int points = 0;
    for (int n = 1;; ++n) {
      std::filesystem::remove_all(root_);
      std::filesystem::copy(base, root_, std::filesystem::copy_options::recursive);
      const bool was_killed = killed_at(n, [&] { (void)work(); });
      const Store store = *Store::open(root_);
      const auto found = store.resolve("tiny");
      ASSERT_TRUE(found) << n << ": " << found.error().message();
      EXPECT_TRUE(found->digest == old->digest || found->digest == expected->digest) << n;
      EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty()) << n;
      const auto again = work();
      ASSERT_TRUE(again) << n << ": " << again.error().message();
      EXPECT_EQ(again->digest, expected->digest) << n;
      EXPECT_EQ(sample::files_below(paths_.blobs()), blobs) << n;
      EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty()) << n;
      if (!was_killed) break;
      ++points;
    }
    EXPECT_GT(points, least);
  }
};

TEST_F(Crash, AKillAnywhereLeavesTheOldOrTheNewState) {
  kill_anywhere([this] { return build_model(); }, 30,
                [this] { sample::write_text(model_ / "bundle.yaml", "license: MIT\n"); });
}

TEST_F(Crash, AWriteThatFailsLeavesTheStoreAsItWas) {
  const auto old = build_model();
  ASSERT_TRUE(old);
  const auto files = sample::files_below(root_);
  sample::write_text(model_ / "bundle.yaml", "license: MIT\n");
  sample::write_text(model_ / "vocab.txt", std::string(300'000, 'v'));
  for (const std::uint64_t limit : {0, 100, 5000, 200'000}) {
    EXPECT_EQ(exit_with_full_disk(limit, [&] { return build_model().has_value(); }), 1) << limit;
    EXPECT_EQ(sample::files_below(root_), files) << limit;
    EXPECT_EQ(Store::open(root_)->resolve("tiny")->digest, old->digest);
  }
}

constexpr Fault kFaults[] = {Fault::kNoSpace, Fault::kIoError, Fault::kReadError,
                             Fault::kShortWrite};

TEST_F(Crash, ACallThatFailsAnywhereLeavesTheOldOrTheNewState) {
  const auto old = build_model();
  ASSERT_TRUE(old);
  const Path base = folder_.path() / "base";
  std::filesystem::copy(root_, base, std::filesystem::copy_options::recursive);
  sample::write_text(model_ / "bundle.yaml", "license: MIT\n");
  const auto expected = build_model();
  ASSERT_TRUE(expected);
  for (const Fault fault : kFaults) {
    int points = 0;
    for (int n = 1;; ++n) {
      std::filesystem::remove_all(root_);
      std::filesystem::copy(base, root_, std::filesystem::copy_options::recursive);
      const Outcome outcome = outcome_with(fault, n, [&] { return build_model().has_value(); });
      EXPECT_FALSE(outcome.crashed) << n << ", fault " << static_cast<int>(fault);
      const Store store = *Store::open(root_);
      const auto found = store.resolve("tiny");
      ASSERT_TRUE(found) << n << ": " << found.error().message();
      const bool is_new = found->digest == expected->digest;
      EXPECT_TRUE(is_new || found->digest == old->digest) << n;
      EXPECT_TRUE(is_new || !outcome.succeeded) << n << ": it says that it succeeded";
      EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty()) << n;
      const auto again = build_model();
      ASSERT_TRUE(again) << n << ": " << again.error().message();
      EXPECT_EQ(again->digest, expected->digest) << n;
      if (!outcome.was_met) break;
      ++points;
    }
    EXPECT_GT(points, 5) << static_cast<int>(fault);
  }
}

/// A second store, and an archive of the first one's bundle that it imports.
class CrashOfImport : public Crash {
 protected:
  Path file_ = folder_.path() / "tiny.tar";
  Path there_ = folder_.path() / "there";
  StorePaths there_paths_{there_};
  std::string digest_;

  void SetUp() override {
    Crash::SetUp();
    ::setenv("BUNDLE_HOME", folder_.path().c_str(), 1);  // its trust policy: none
    const auto built = build_model();
    ASSERT_TRUE(built);
    digest_ = built->digest;
    Store here = *Store::open(root_);
    ASSERT_TRUE(export_archive(here, *here.resolve("tiny"), file_, {}, {}));
  }

  bool import_it() const {
    auto store = Store::open(there_);
    const auto trust = signing::Trust::load({});
    return store && trust && import_archive(file_, *store, {}, *trust, {}).has_value();
  }
};

TEST_F(CrashOfImport, AKillAnywhereLeavesNothingOrTheBundle) {
  ASSERT_TRUE(import_it());
  const auto blobs = sample::files_below(there_paths_.blobs());
  int points = 0;
  for (int n = 1;; ++n) {
    std::filesystem::remove_all(there_);
    const bool was_killed = killed_at(n, [&] { (void)import_it(); });
    const Store store = *Store::open(there_);
    for (const BundleSummary& bundle : *store.list()) {
      EXPECT_EQ(bundle.damage, "") << n;
      EXPECT_EQ(bundle.digest, digest_) << n;
    }
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << n;
    ASSERT_TRUE(import_it()) << n;
    EXPECT_EQ(Store::open(there_)->resolve("tiny")->digest, digest_) << n;
    EXPECT_EQ(sample::files_below(there_paths_.blobs()), blobs) << n;
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << n;
    EXPECT_THAT(sample::files_below(there_paths_.partials()), IsEmpty()) << n;
    if (!was_killed) break;
    ++points;
  }
  EXPECT_GT(points, 30);
}

TEST_F(CrashOfImport, ACallThatFailsAnywhereLeavesNothingOrTheBundle) {
  for (const Fault fault : kFaults) {
    int points = 0;
    for (int n = 1;; ++n) {
      std::filesystem::remove_all(there_);
      const Outcome outcome = outcome_with(fault, n, [&] { return import_it(); });
      EXPECT_FALSE(outcome.crashed) << n << ", fault " << static_cast<int>(fault);
      const Store store = *Store::open(there_);
      const auto bundles = *store.list();
      EXPECT_TRUE(!outcome.succeeded || bundles.size() == 1) << n;
      for (const BundleSummary& bundle : bundles) {
        EXPECT_EQ(bundle.damage, "") << n;
        EXPECT_EQ(bundle.digest, digest_) << n;
      }
      EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << n;
      ASSERT_TRUE(import_it()) << n;
      EXPECT_EQ(Store::open(there_)->resolve("tiny")->digest, digest_) << n;
      if (!outcome.was_met) break;
      ++points;
    }
    EXPECT_GT(points, 5) << static_cast<int>(fault);
  }
}

TEST_F(CrashOfImport, AWriteThatFailsLeavesNoBundle) {
  for (const std::uint64_t limit : {0, 100, 5000, 40'000}) {
    EXPECT_EQ(exit_with_full_disk(limit, [&] { return import_it(); }), 1) << limit;
    const Store store = *Store::open(there_);
    EXPECT_THAT(*store.list(), IsEmpty()) << limit;
    EXPECT_THAT(sample::files_below(there_paths_.temporary()), IsEmpty()) << limit;
  }
  ASSERT_TRUE(import_it());
  EXPECT_EQ(Store::open(there_)->resolve("tiny")->digest, digest_);
}

TEST_F(CrashOfImport, AKilledExportLeavesNothingOrTheWholeFile) {
  const Path folder = folder_.path() / "out";
  const Path target = folder / "tiny.tar";
  const auto export_it = [&](bool replace) {
    const auto store = Store::open(root_);
    return store && export_archive(*store, *store->resolve("tiny"), target, {{}, 0, replace}, {})
                        .has_value();
  };
  const std::string expected = *read_file(file_);
  for (const bool replace : {false, true}) {
    int points = 0;
    for (int n = 1;; ++n) {
      std::filesystem::remove_all(folder);
      ASSERT_TRUE(make_directories(folder));
      if (replace) sample::write_text(target, "old");
      const bool was_killed = killed_at(n, [&] { (void)export_it(replace); });
      for (const std::string& name : sample::files_below(folder)) {
        const std::string text = *read_file(folder / name);
        EXPECT_TRUE(text == expected || (replace && text == "old")) << n << ": " << name;
      }
      if (!was_killed) break;
      ++points;
    }
    EXPECT_GT(points, 5);
    EXPECT_EQ(sample::files_below(folder).size(), 1u);
    EXPECT_EQ(*read_file(target), expected);
  }
}

class CrashOfQuantizing : public Crash {
 protected:
  Result<BuildResult> quantize_model() const {
    BUNDLE_TRY(Store store, Store::open(root_));
    BuildOptions options = sample::no_runtime();
    options.name = "tiny";
    options.quantize = "q4_0";
    return build(model_, store, options, {});
  }
};

TEST_F(CrashOfQuantizing, AKillAnywhereLeavesTheOldOrTheNewState) {
  kill_anywhere([this] { return quantize_model(); }, 60, [] {});
}

TEST_F(CrashOfQuantizing, AWriteThatFailsLeavesTheStoreAsItWas) {
  ASSERT_TRUE(build_model());
  const auto files = sample::files_below(root_);
  for (const std::uint64_t limit : {0, 1000, 20'000}) {
    EXPECT_EQ(exit_with_full_disk(limit, [&] { return quantize_model().has_value(); }), 1) << limit;
    EXPECT_EQ(sample::files_below(root_), files) << limit;
  }
}

TEST_F(Crash, ManyProcessesBuildAndCollectAtTheSameTime) {
  constexpr int kBuilders = 4;
  constexpr int kRounds = 5;
  std::vector<pid_t> children;
  for (int i = 0; i <= kBuilders; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool is_good = true;
      for (int round = 0; round < kRounds; ++round) {
        const std::string name = "tiny:v" + std::to_string(i) + "-" + std::to_string(round);
        is_good = is_good && (i == kBuilders ? Store::open(root_)->gc().has_value()
                                             : build_model(name).has_value());
      }
      ::_exit(is_good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const Store store = *Store::open(root_);
  EXPECT_EQ(store.list()->size(), static_cast<std::size_t>(kBuilders * kRounds));
  for (const BundleSummary& bundle : *store.list()) {
    EXPECT_EQ(bundle.damage, "");
    EXPECT_TRUE(store.resolve(bundle.name + ':' + bundle.tag));
  }
  EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty());
}

}  // namespace
}  // namespace bundle::packager
