#include "base/command.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(Command, KeepsBothStreamsAndTheCode) {
  const auto result =
      run_command({.argv = {"sh", "-c", "cat; echo err >&2; exit 7"}, .input = "in"});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->out, "in");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit_code, 7);
}

TEST(Command, MovesMoreThanAPipeHolds) {
  const std::string text(3'000'000, 'x');
  const auto result = run_command({.argv = {"cat"}, .input = text});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, text);
}

TEST(Command, AProgramThatReadsNothingIsNoFailure) {
  const auto result = run_command({.argv = {"true"}, .input = std::string(3'000'000, 'x')});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->exit_code, 0);
}

TEST(Command, SendsARangeOfAFile) {
  const Path path = testing::TempDir() + "command_input";
  ASSERT_TRUE(write_file_atomic(path, "0123456789"));
  std::uint64_t sent = 0;
  Command command{.argv = {"cat"}};
  command.input_file = path;
  command.input_offset = 2;
  command.input_length = 5;
  command.on_sent = [&](std::uint64_t n) { return (sent = n, true); };
  const auto result = run_command(command);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "23456");
  EXPECT_EQ(sent, 5u);
}

TEST(Command, EnvironmentIsAddedAndReplaced) {
  const auto result =
      run_command({.argv = {"sh", "-c", "printf %s \"$A\""}, .environment = {{"A", "x y"}}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "x y");
}

TEST(Command, ErrorsAreTold) {
  EXPECT_EQ(run_command({.argv = {"no-such-program-here"}}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(
      run_command({.argv = {"sleep", "30"}, .timeout = std::chrono::milliseconds(50)}).error().code,
      ErrorCode::kUnreachable);
  EXPECT_EQ(run_command({.argv = {"yes"}, .on_output = [](std::string_view) { return false; }})
                .error()
                .code,
            ErrorCode::kInterrupted);
  EXPECT_EQ(run_command({.argv = {"sh", "-c", "kill -9 $$"}})->exit_code, 137);
}

TEST(Command, OutputIsBounded) {
  const auto result =
      run_command({.argv = {"head", "-c", "100000", "/dev/zero"}, .max_output = 10});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out.size(), 10u);
}

}  // namespace
}  // namespace bundle
