#include "runtime/launch/self_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::launch {
namespace {

using testing::ElementsAre;
using namespace std::string_view_literals;

TEST(SelfCommand, StartedDirectly) {
  const Command command = *self_command(
      "bin/bundle-server\0--port\0"
      "1\0"sv,
      3);
  EXPECT_EQ(command.program, "/proc/self/exe");
  EXPECT_THAT(command.arguments, ElementsAre("bin/bundle-server"));
}

TEST(SelfCommand, StartedThroughALoader) {
  const auto cmdline =
      "/b/lib/ld-linux-x86-64.so.2\0--library-path\0/b/lib\0/b/bin/bundle-server\0--port\0"
      "1\0"sv;
  const Command command = *self_command(cmdline, 3);
  EXPECT_THAT(command.arguments, ElementsAre("/b/lib/ld-linux-x86-64.so.2", "--library-path",
                                             "/b/lib", "/b/bin/bundle-server"));
}

TEST(SelfCommand, EmptyArgumentsCount) {
  EXPECT_THAT(self_command("server\0\0--name\0\0"sv, 4)->arguments, ElementsAre("server"));
}

TEST(SelfCommand, AnUnreadableCommandLineIsAnError) {
  EXPECT_FALSE(self_command(""sv, 1));
  EXPECT_FALSE(self_command("server\0"sv, 2));
}

TEST(SelfCommand, OfThisTest) { EXPECT_FALSE(self_command(1)->arguments.empty()); }

}  // namespace
}  // namespace bundle::launch
