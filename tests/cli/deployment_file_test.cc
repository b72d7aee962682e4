#include "cli/deployment_file.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

class DeploymentFileTest : public testing::Test {
 protected:
  Result<DeploymentFile> read(std::string_view text) {
    EXPECT_TRUE(write_file_atomic(path_, text));
    return read_deployment_file(path_);
  }
  std::string message(std::string_view text) {
    const auto file = read(text);
    return file ? "no error" : file.error().message();
  }
  Path path_ = testing::TempDir() + "deployment_test.yaml";
};

TEST_F(DeploymentFileTest, ReadsEveryKey) {
  const auto file = read(
      "name: prod\ntarget: local\nbundle: smollm2\nhost: 0.0.0.0\nport: 8080\n"
      "drain_seconds: 5\nreplicas: 1\napi_key_file: keys\n"
      "env:\n  A: b\nruntime:\n  context_length: 1024\n");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->name, "prod");
  EXPECT_EQ(file->bundle, "smollm2");
  EXPECT_EQ(file->port, 8080);
  EXPECT_EQ(file->drain_seconds, 5);
  EXPECT_EQ(file->environment.at(0).second, "b");
  EXPECT_EQ(print_json(file->runtime), R"({"context_length":1024})");
}

TEST_F(DeploymentFileTest, NamesTheNearestKeyAndThePlace) {
  const std::string text = message("name: a\nprot: 80\n");
  EXPECT_NE(text.find("unknown key 'prot'"), std::string::npos) << text;
  EXPECT_NE(text.find("Did you mean 'port'?"), std::string::npos) << text;
  EXPECT_NE(text.find(":2:1"), std::string::npos) << text;
}

TEST_F(DeploymentFileTest, RefusesWrongTypesAndRanges) {
  EXPECT_NE(message("port: many\n").find("'port' is not a whole number"), std::string::npos);
  EXPECT_NE(message("port: 65536\n").find("65535"), std::string::npos);
  EXPECT_NE(message("port: '80'\n").find("not a whole number"), std::string::npos);
  EXPECT_NE(message("replicas: 2\n").find("one replica"), std::string::npos);
  EXPECT_NE(message("env: [a]\n").find("not a map"), std::string::npos);
  EXPECT_NE(message("- a\n").find("map of keys"), std::string::npos);
  EXPECT_NE(message("name: a\nname: b\n"), "no error");
  EXPECT_NE(message("runtime:\n  contxt_length: 1\n").find("context_length"), std::string::npos);
}

}  // namespace
}  // namespace bundle::cli
