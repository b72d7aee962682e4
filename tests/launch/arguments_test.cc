#include "runtime/launch/arguments.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::launch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const std::vector<std::string>& words) {
  const auto line = parse_arguments(words);
  if (line) return "accepted";
  EXPECT_EQ(line.error().code, ErrorCode::kUsage);
  return line.error().message();
}

/// A folder for one test's files.
class ArgumentsTest : public testing::Test {
 protected:
  ArgumentsTest() : folder_(testing::TempDir() + "launch_arguments") {
    std::filesystem::create_directories(folder_);
  }
  ~ArgumentsTest() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }

  Path folder_;
};

TEST_F(ArgumentsTest, EverythingThatTheContractNames) {
  const auto line =
      *parse_arguments({"--launch", "l.json", "--host", "::1", "--port", "0", "--admin-port", "9",
                        "--api-key-file", "k", "--drain-seconds", "5", "--set", "threads=1",
                        "--set", "kv_type=f32", "--idle-exit-seconds", "60"});
  const Arguments& a = line.arguments;
  EXPECT_EQ(a.launch_file, "l.json");
  EXPECT_EQ(a.host, "::1");
  EXPECT_EQ(a.port, 0);
  EXPECT_EQ(a.admin_port, 9);
  EXPECT_EQ(a.api_key_file, "k");
  EXPECT_EQ(a.idle_exit_seconds, 60);
  EXPECT_EQ(a.drain_seconds, 5);
  EXPECT_THAT(a.settings, ElementsAre("threads=1", "kv_type=f32"));
  EXPECT_FALSE(line.say);
}

TEST_F(ArgumentsTest, DefaultsAreSafe) {
  const Arguments a = parse_arguments({"--model", "m"})->arguments;
  EXPECT_EQ(a.host, "127.0.0.1");
  EXPECT_EQ(a.admin_host, "127.0.0.1");
  EXPECT_FALSE(a.admin_port);
  EXPECT_EQ(a.drain_seconds, 30);
}

TEST_F(ArgumentsTest, WrongUseIsRefused) {
  EXPECT_THAT(refusal({}), HasSubstr("model"));
  EXPECT_NE(refusal({"--launch", "a", "--model", "b"}), "accepted");
  EXPECT_THAT(refusal({"--model", "b", "--prot", "1"}), HasSubstr("--prot"));
  EXPECT_THAT(refusal({"--model", "b", "--port", "65536"}), HasSubstr("port"));
  EXPECT_THAT(refusal({"--model", "b", "--port", "-1"}), HasSubstr("port"));
  EXPECT_THAT(refusal({"--model", "b", "--drain-seconds", "x"}), HasSubstr("drain"));
  EXPECT_THAT(refusal({"--model", "b", "extra"}), HasSubstr("extra"));
}

TEST_F(ArgumentsTest, HelpAndVersionAreSaid) {
  EXPECT_THAT(parse_arguments({"--help"})->say.value_or(""), HasSubstr("--drain-seconds"));
  EXPECT_THAT(parse_arguments({"--version"})->say.value_or(""), HasSubstr("bundle-server"));
}

TEST_F(ArgumentsTest, ALaunchDocumentIsReadAndSettingsWin) {
  Arguments a;
  a.launch_file = write("launch.json", R"({"version": 1, "name": "m", "model": [],
      "runtime": {"threads": 1, "context_length": 64}})");
  a.settings = {"runtime.threads=4"};
  const auto spec = launch_spec(a);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->name, "m");
  EXPECT_EQ(spec->runtime.at("threads"), 4);
  EXPECT_EQ(spec->runtime.at("context_length"), 64);
  a.settings = {"thread=4"};
  EXPECT_EQ(launch_spec(a).error().code, ErrorCode::kUsage);
}

TEST_F(ArgumentsTest, AModelOfAPathIsNamedForIt) {
  Arguments a;
  a.model_path = write("SmolLM2.Q4_1.gguf", "x");
  EXPECT_EQ(launch_spec(a)->name, "SmolLM2.Q4_1");
  a.model_path = folder_.string() + "/";
  EXPECT_EQ(launch_spec(a)->name, "launch_arguments");
  a.name = "mine";
  EXPECT_EQ(launch_spec(a)->name, "mine");
  a.model_path = (folder_ / "missing").string();
  EXPECT_FALSE(launch_spec(a));
}

TEST_F(ArgumentsTest, KeysAreOneALine) {
  EXPECT_THAT(*read_api_keys(write("keys", "sk-one\r\n\n  sk-two \nsk-three")),
              ElementsAre(server::plain_key("sk-one"), server::plain_key("sk-two"),
                          server::plain_key("sk-three")));
  for (const char* line : {"sk-one name=a requests_per_minute=60", "SHA256:00 name=a"}) {
    const auto read = read_api_keys(write("mistaken", line));
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
  }
  EXPECT_EQ(read_api_keys(write("none", "\n \n")).error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(read_api_keys((folder_ / "missing").string()));
}

}  // namespace
}  // namespace bundle::launch
