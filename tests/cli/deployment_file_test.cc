#include "cli/deployment_file.h"

#include <gtest/gtest.h>

#include "cli/deployment_keys.h"

namespace bundle::cli {
namespace {

class DeploymentFileTest : public testing::Test {
 protected:
  Result<JsonObject> read(std::string_view text) {
    EXPECT_TRUE(write_file_atomic(path_, text));
    return read_deployment_file(path_);
  }
  std::string message(std::string_view text) {
    const auto file = read(text);
    return file ? "no error" : file.error().message();
  }
  Path path_ = testing::TempDir() + "deployment_test.yaml";
};

TEST_F(DeploymentFileTest, ReadsKeysOfEveryKind) {
  const auto file = read(
      "name: prod\ntarget: ssh\nbundle: smollm2\nhost: 0.0.0.0\nport: 8080\n"
      "drain_seconds: 5\nreplicas: 2\napi_key_file: keys\n"
      "env:\n  A: b\nsecrets:\n  TOKEN: token.txt\nruntime:\n  context_length: 1024\n"
      "resources: {memory: 16Gi, gpu: 8}\nupdate: {strategy: recreate}\n"
      "ssh:\n  hosts: [root@a, 'b:22']\n");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->at("port"), 8080);
  EXPECT_EQ(file->at("env").at("A"), "b");
  EXPECT_EQ(file->at("resources").at("memory"), 17179869184);
  EXPECT_EQ(file->at("ssh").at("hosts").at(1), "b:22");
  EXPECT_EQ(print_json(file->at("runtime")), R"({"context_length":1024})");
}

TEST_F(DeploymentFileTest, PathsAreBesideTheFile) {
  const auto file = read(
      "api_key_file: keys\nsecrets: {A: sub/../token, B: /etc/b}\n"
      "tls: {certificate: tls/chain.pem, key: /k.pem}\naccess_log: '-'\n");
  ASSERT_TRUE(file);
  const std::string folder = std::filesystem::absolute(path_).parent_path().string();
  EXPECT_EQ(file->at("api_key_file"), Json(folder + "/keys"));
  EXPECT_EQ(file->at("secrets").at("A"), Json(folder + "/token"));
  EXPECT_EQ(file->at("secrets").at("B"), "/etc/b");
  EXPECT_EQ(file->at("tls").at("certificate"), Json(folder + "/tls/chain.pem"));
  EXPECT_EQ(file->at("tls").at("key"), "/k.pem");
  EXPECT_EQ(file->at("access_log"), "-");
}

TEST_F(DeploymentFileTest, NamesTheNearestKeyAndThePlace) {
  const std::string text = message("name: a\nprot: 80\n");
  EXPECT_NE(text.find("unknown key 'prot'"), std::string::npos) << text;
  EXPECT_NE(text.find("Did you mean 'port'?"), std::string::npos) << text;
  EXPECT_NE(text.find(":2:1"), std::string::npos) << text;
  const std::string nested = message("scaling:\n  max_replica: 3\n");
  EXPECT_NE(nested.find("'max_replica' in 'scaling'"), std::string::npos) << nested;
  EXPECT_NE(nested.find("'max_replicas'?"), std::string::npos) << nested;
  EXPECT_NE(nested.find(":2:3"), std::string::npos) << nested;
}

TEST_F(DeploymentFileTest, RefusesWrongTypesAndRanges) {
  for (const char* text :
       {"port: many\n", "port: 65536\n", "port: '80'\n", "replicas: -1\n", "env: [a]\n", "- a\n",
        "name: a\nname: b\n", "env: {A=B: c}\n", "update: {strategy: sudden}\n",
        "ssh: {hosts: ['-oProxyCommand=x']}\n", "ssh: {hosts: ['a b']}\n", "name: ../x\n",
        "resources: {memory: lots}\n", "systemd: {root: relative}\n"}) {
    EXPECT_NE(message(text), "no error") << text;
  }
  EXPECT_NE(message("runtime:\n  contxt_length: 1\n").find("context_length"), std::string::npos);
}

// BUNDLE_UPDATE_DOCS=1 prints the page anew.
TEST_F(DeploymentFileTest, NamesTheVariableAndTheImageThatAreWrong) {
  const auto error = read("env: {A: 1}\n").error();
  EXPECT_NE(error.what.find("'env.A'"), std::string::npos) << error.message();
  for (const char* image : {"'r/m:1 --privileged'", "'-r/m'", "'r/m\\n:1'", "'$(x)/m'"}) {
    EXPECT_TRUE(read("kubernetes: {image: " + std::string(image) + "}\n").has_error()) << image;
  }
  for (const char* image : {"r.example:5000/a/b_c:1.0", "'[::1]:5000/m@sha256:00'"}) {
    EXPECT_TRUE(read("kubernetes: {image: " + std::string(image) + "}\n")) << image;
  }
}

TEST(DeploymentKeys, TheDocumentationIsWhatTheTableSays) {
  const Path page = Path(BUNDLE_SOURCE_DIR) / "docs" / "deployment-yaml.md";
  if (std::getenv("BUNDLE_UPDATE_DOCS") != nullptr) {
    ASSERT_TRUE(write_file_atomic(page, deployment_reference()));
  }
  EXPECT_EQ(*read_file(page), deployment_reference());
}

TEST(DeploymentKeys, EveryExampleIsRead) {
  int seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(Path(BUNDLE_SOURCE_DIR) / "examples" / "deploy")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto file = read_deployment_file(entry.path());
    EXPECT_TRUE(file) << file.error().message();
    ++seen;
  }
  EXPECT_GE(seen, 5);
}

TEST(DeploymentKeys, EverySectionStandsBeforeItsKeys) {
  for (const auto& key : deployment_keys()) {
    const std::size_t dot = key.path.find('.');
    if (dot == std::string_view::npos) continue;
    const auto* section = find_deployment_key(key.path.substr(0, dot));
    ASSERT_NE(section, nullptr) << key.path;
    EXPECT_LT(section, &key);
  }
}

}  // namespace
}  // namespace bundle::cli
