#include "base/process.h"

#include <csignal>
#include <future>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bundle {
namespace {

using std::chrono::milliseconds;

TEST(Process, GivesTheExitCode) {
  EXPECT_EQ(*run_process({.argv = {"sh", "-c", "exit 7"}}), 7);
  EXPECT_EQ(*run_process({.argv = {"sh", "-c", "kill -TERM $$"}}), 128 + SIGTERM);
}

TEST(Process, SaysWhenTheProgramIsNotThere) {
  const auto child = spawn({.argv = {"no-such-program-here"}});
  ASSERT_TRUE(child.has_error());
  EXPECT_EQ(child.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(child.error().where, "no-such-program-here");
}

TEST(Process, AddsToTheEnvironmentAndAppendsToTheOutputFile) {
  const Path out = testing::TempDir() + "bundle_process_test.out";
  std::filesystem::remove(out);
  for (const char* word : {"one", "two"}) {
    ASSERT_EQ(*run_process({.argv = {"sh", "-c", "echo $WORD; echo err >&2"},
                            .environment = {{"WORD", word}},
                            .output = out}),
              0);
  }
  EXPECT_EQ(*read_file(out), "one\nerr\ntwo\nerr\n");
}

TEST(Process, ClosesOtherDescriptors) {
  const Fd open(::dup(1));
  const std::string test = "[ ! -e /proc/self/fd/" + std::to_string(open.get()) + " ]";
  EXPECT_EQ(*run_process({.argv = {"sh", "-c", test}}), 0);
}

TEST(Process, KnowsAProcessAndItsEnd) {
  const auto child = spawn({.argv = {"sleep", "60"}});
  ASSERT_TRUE(child);
  const auto identity = identify_process(*child);
  ASSERT_TRUE(identity);
  EXPECT_TRUE(is_running(*identity));
  EXPECT_FALSE(is_running({identity->pid, identity->start_ticks + 1}));
  EXPECT_FALSE(*wait_exit(*child, milliseconds(20)));
  ASSERT_TRUE(signal_process(*identity, SIGKILL));
  EXPECT_TRUE(wait_gone(*identity, milliseconds(5000)));
  EXPECT_EQ(signal_process(*identity, SIGTERM).error().code, ErrorCode::kNotFound);
}

TEST(Process, MayEndWhileItIsLookedAt) {
  for (int round = 0; round < 400; ++round) {
    const auto child = spawn({.argv = {"true"}});
    ASSERT_TRUE(child);
    auto reaped = std::async(std::launch::async, [&] { return ::waitpid(*child, nullptr, 0); });
    while (identify_process(*child)) {
    }
    EXPECT_EQ(reaped.get(), *child);
  }
}

}  // namespace
}  // namespace bundle
