// What happens to the store when a build is killed, or cannot write, or is not alone. Each case
// runs in a child process; for kills, ptrace stops it before every system call that changes a file.
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packager/build.h"
#include "packager/store.h"
#include "packager/store_files.h"
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
    auto store = Store::open(root_);
    BuildOptions options = sample::no_runtime();
    options.name = name;
    return build(model_, *store, options, {});
  }

  /// 0 when the build succeeded; never returns into the test.
  [[noreturn]] void build_in_child(const std::string& name = "tiny") const {
    ::_exit(build_model(name) ? 0 : 1);
  }
};

bool changes_files(std::uint64_t call) {
  static const std::set<std::uint64_t> kCalls = {
      SYS_write,  SYS_pwrite64,  SYS_open,      SYS_openat,    SYS_rename, SYS_renameat,
      SYS_unlink, SYS_unlinkat,  SYS_fsync,     SYS_fdatasync, SYS_mkdir,  SYS_mkdirat,
      SYS_fchmod, SYS_ftruncate, SYS_fallocate, SYS_flock,     SYS_ioctl,  SYS_rmdir};
  return kCalls.contains(call);
}

/// Lets the child run to its n-th file-changing call (counted from 1) and kills it there; false
/// when it ended before.
bool kill_at(pid_t child, int n) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return false;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  bool is_entry = true;
  for (int seen = 0;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) != child || WIFEXITED(status)) return false;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
    if (is_entry && changes_files(registers.orig_rax) && ++seen == n) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return true;
    }
    is_entry = !is_entry;
  }
}

TEST_F(Crash, AKillAnywhereLeavesTheOldOrTheNewState) {
  const auto old = build_model();
  ASSERT_TRUE(old);
  const Path base = folder_.path() / "base";
  std::filesystem::copy(root_, base, std::filesystem::copy_options::recursive);
  sample::write_text(model_ / "bundle.yaml", "license: MIT\n");
  const auto expected = build_model();
  ASSERT_TRUE(expected);
  const auto blobs = sample::files_below(paths_.blobs());
  int points = 0;
  for (int n = 1;; ++n) {
    std::filesystem::remove_all(root_);
    std::filesystem::copy(base, root_, std::filesystem::copy_options::recursive);
    const pid_t child = ::fork();
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      build_in_child();
    }
    const bool was_killed = kill_at(child, n);
    const Store store = *Store::open(root_);
    const auto found = store.resolve("tiny");
    ASSERT_TRUE(found) << n << ": " << found.error().message();
    EXPECT_TRUE(found->digest == old->digest || found->digest == expected->digest) << n;
    EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty()) << n;
    const auto again = build_model();
    ASSERT_TRUE(again) << n << ": " << again.error().message();
    EXPECT_EQ(again->digest, expected->digest) << n;
    EXPECT_EQ(sample::files_below(paths_.blobs()), blobs) << n;
    EXPECT_THAT(sample::files_below(paths_.temporary()), IsEmpty()) << n;
    if (!was_killed) break;
    ++points;
  }
  EXPECT_GT(points, 30);
}

TEST_F(Crash, AWriteThatFailsLeavesTheStoreAsItWas) {
  const auto old = build_model();
  ASSERT_TRUE(old);
  const auto files = sample::files_below(root_);
  sample::write_text(model_ / "bundle.yaml", "license: MIT\n");
  sample::write_text(model_ / "vocab.txt", std::string(300'000, 'v'));
  for (const rlim_t limit : {0, 100, 5000, 200'000}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit sizes{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &sizes);
      build_in_child();
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 1) << limit;
    EXPECT_EQ(sample::files_below(root_), files) << limit;
    EXPECT_EQ(Store::open(root_)->resolve("tiny")->digest, old->digest);
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
