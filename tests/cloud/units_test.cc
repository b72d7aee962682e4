#include "cloud/systemd/units.h"

#include <gtest/gtest.h>

#include "base/command.h"
#include "base/file.h"
#include "cloud/slurm/job.h"
#include "tests/templates/hostile_values.h"

namespace bundle::cloud {
namespace {

DeploymentSpec sample() {
  DeploymentSpec spec;
  spec.name = "prod";
  spec.target = "systemd";
  spec.bundle = "m:1";
  spec.server = {"/bin/true"};
  spec.launch = JsonObject{{"name", "m"}};
  spec.port = 8000;
  spec.api_key_file = "/var/lib/bundle/deployments/prod/keys-1";
  spec.environment = {{"A", "b c"}};
  spec.resources.gpu = 8;
  spec.resources.memory = 1 << 30;
  spec.resources.cpu = 1.5;
  return spec;
}

class UnitsTest : public testing::Test {
 protected:
  /// What a systemd program says of a unit under its right name.
  CommandResult ask(std::vector<std::string> argv, const std::string& text) {
    const Path path = Path(testing::TempDir()) / "bundle-prod-0.service";
    EXPECT_TRUE(write_file_atomic(path, text));
    argv.push_back(path.string());
    const auto result = run_command({.argv = argv});
    EXPECT_TRUE(result) << result.error().message();
    return result ? *result : CommandResult{-1, "", ""};
  }
};

TEST_F(UnitsTest, SystemdFindsNothingWrongWithAUnit) {
  for (const int gpus : {0, 8}) {
    DeploymentSpec spec = sample();
    spec.resources.gpu = gpus;
    const auto unit = service_unit(spec, {0, 0, 8000}, "/var/lib/bundle");
    ASSERT_TRUE(unit) << unit.error().message();
    const CommandResult verify = ask({"systemd-analyze", "verify"}, *unit);
    EXPECT_EQ(verify.exit_code, 0) << verify.err;
    EXPECT_EQ(verify.err.find("bundle-prod-0"), std::string::npos) << verify.err;
  }
}

TEST_F(UnitsTest, AUnitIsHardened) {
  const auto unit = service_unit(sample(), {0, 0, 8000}, "/var/lib/bundle");
  ASSERT_TRUE(unit);
  // --threshold is in tenths: the exit code is not 0 above it.
  const CommandResult result =
      ask({"systemd-analyze", "security", "--offline=true", "--threshold=29", "--no-pager"}, *unit);
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_NE(result.out.find("Overall exposure level"), std::string::npos) << result.out;
}

TEST_F(UnitsTest, AHostileVariableIsAcceptedBySystemdOrRefusedByName) {
  DeploymentSpec spec = sample();
  spec.environment.clear();
  std::size_t refused = 0;
  for (const std::string& value : templates::hostile_values()) {
    DeploymentSpec alone = sample();
    alone.environment = {{"V", value}};
    if (service_unit(alone, {0, 0, 8000}, "/var/lib/bundle").has_error()) {
      ++refused;
    } else {
      spec.environment.emplace_back("V" + std::to_string(spec.environment.size()), value);
    }
  }
  EXPECT_EQ(refused, 2u);  // a carriage return, and control characters
  const auto unit = service_unit(spec, {0, 0, 8000}, "/var/lib/bundle");
  ASSERT_TRUE(unit) << unit.error().message();
  const CommandResult verify = ask({"systemd-analyze", "verify"}, *unit);
  EXPECT_EQ(verify.exit_code, 0) << verify.err;
  EXPECT_EQ(verify.err.find("nvironment"), std::string::npos) << verify.err;
}

TEST_F(UnitsTest, ReplicasShareHostsOnConsecutivePorts) {
  DeploymentSpec spec = sample();
  spec.scaling.min_replicas = spec.scaling.max_replicas = 5;
  const auto replicas = place_replicas(spec, 2);
  ASSERT_EQ(replicas.size(), 5u);
  EXPECT_EQ(replicas[3].host, 1u);
  EXPECT_EQ(replicas[3].port, 8001);
  EXPECT_EQ(replicas[4].host, 0u);
  EXPECT_EQ(replicas[4].port, 8002);
}

TEST_F(UnitsTest, ASleepingDeploymentHasASocketAndNoInstallSection) {
  DeploymentSpec spec = sample();
  spec.scaling.min_replicas = 0;
  spec.host = "::";
  const auto socket = socket_unit(spec, place_replicas(spec, 1).at(0));
  ASSERT_TRUE(socket) << socket.error().message();
  EXPECT_NE(socket->find("ListenStream=[::]:8000\n"), std::string::npos) << *socket;
  spec.scaling.idle_seconds = 60;
  const auto unit = service_unit(spec, {0, 0, 8000}, "/var/lib/bundle");
  ASSERT_TRUE(unit);
  EXPECT_EQ(unit->find("[Install]"), std::string::npos);
  EXPECT_NE(unit->find(R"("--idle-exit-seconds" "60")"), std::string::npos) << *unit;
  EXPECT_NE(unit->find("StartLimitBurst=15\n"), std::string::npos) << *unit;
}

TEST_F(UnitsTest, TlsReachesAUnitAsCredentials) {
  DeploymentSpec spec = sample();
  spec.admin_port = 9000;
  spec.access_log = "-";
  spec.tls = {"/r/deployments/prod/tls-certificate-1", "/r/deployments/prod/tls-key-1", ""};
  const auto unit = service_unit(spec, {1, 0, 8001}, "/r");
  ASSERT_TRUE(unit) << unit.error().message();
  for (const char* part :
       {"LoadCredential=tls-certificate:/r/deployments/prod/tls-certificate-1\n",
        "LoadCredential=tls-key:/r/deployments/prod/tls-key-1\n", R"("--admin-port" "9001")",
        R"("--tls-key" "/run/credentials/bundle-prod-1.service/tls-key")",
        R"("--access-log" "-")"}) {
    EXPECT_NE(unit->find(part), std::string::npos) << part << "\n" << *unit;
  }
  EXPECT_EQ(unit->find("client-ca"), std::string::npos) << *unit;
  spec.tls.client_ca = "/r/deployments/prod/tls-client-ca-1";
  const auto with_ca = service_unit(spec, {0, 0, 8000}, "/r");
  ASSERT_TRUE(with_ca) << with_ca.error().message();
  EXPECT_EQ(ask({"systemd-analyze", "verify"}, *with_ca).exit_code, 0);
  spec.access_log = "/var/log/a";
  EXPECT_TRUE(service_unit(spec, {0, 0, 8000}, "/r").has_error());
}

TEST_F(UnitsTest, AJobAsksForReadinessOnTheAdminPort) {
  DeploymentSpec spec = sample();
  spec.tls = {"/r/c.pem", "/r/k.pem", ""};
  const auto secure = job_script(spec, 0, 1, "/r");
  ASSERT_TRUE(secure) << secure.error().message();
  EXPECT_NE(secure->find("probe_port=$(free_port 19000)"), std::string::npos) << *secure;
  EXPECT_NE(secure->find("%s://%s:%s\\n' https "), std::string::npos) << *secure;
  spec.tls = {};
  const auto plain = job_script(spec, 0, 1, "/r");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->find("--admin-port"), std::string::npos) << *plain;
  for (const auto& script : {*secure, *plain}) {
    EXPECT_EQ(ask({"bash", "-n"}, script).exit_code, 0) << script;
  }
}

TEST_F(UnitsTest, AJobOverSeveralMachinesTellsItsServersOfEachOther) {
  DeploymentSpec spec = sample();
  spec.resources.nodes = 2;
  const auto group = job_script(spec, 3, 1, "/r");
  ASSERT_TRUE(group) << group.error().message();
  for (const char* part :
       {"#SBATCH --nodes=2\n", "--nodes auto --group-token-file \"$group_token\"", "umask 077",
        "group_token=/r/deployments/prod/group-token-3.$SLURM_JOB_ID\n", "export MASTER_ADDR"}) {
    EXPECT_NE(group->find(part), std::string::npos) << part << "\n" << *group;
  }
  EXPECT_EQ(ask({"bash", "-n"}, *group).exit_code, 0) << *group;
  spec.resources.nodes = 1;
  const auto alone = job_script(spec, 3, 1, "/r");
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->find("--nodes auto"), std::string::npos) << *alone;
  EXPECT_EQ(alone->find("group_token"), std::string::npos) << *alone;
}

TEST_F(UnitsTest, AQuadletMountsKeysAndCertificates) {
  DeploymentSpec spec = sample();
  spec.admin_port = 9000;
  spec.tls = {"/etc/tls/chain.pem", "/etc/tls/key.pem", "/etc/tls/ca.pem"};
  const auto text = quadlet(spec, {0, 0, 8000});
  ASSERT_TRUE(text) << text.error().message();
  for (const char* part :
       {"Volume=/var/lib/bundle/deployments/prod/keys-1:/run/bundle/api-keys:ro\n",
        "Volume=/etc/tls/ca.pem:/run/bundle/tls-client-ca:ro\n",
        "PublishPort=127.0.0.1:9000:9000\n", R"("--tls-client-ca" "/run/bundle/tls-client-ca")",
        R"("--api-key-file" "/run/bundle/api-keys")"}) {
    EXPECT_NE(text->find(part), std::string::npos) << part << "\n" << *text;
  }
}

TEST_F(UnitsTest, AQuadletNamesTheImageAndItsSecrets) {
  DeploymentSpec spec = sample();
  spec.secrets = {{"TOKEN", "/f"}};
  spec.settings = JsonObject{{"image", "registry.example/m:1"}};
  const auto text = quadlet(spec, {0, 0, 8000});
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_NE(text->find("Image=registry.example/m:1\n"), std::string::npos) << *text;
  EXPECT_NE(text->find("Secret=TOKEN,type=env,target=TOKEN\n"), std::string::npos) << *text;
  EXPECT_NE(text->find("PublishPort=127.0.0.1:8000:8000\n"), std::string::npos) << *text;
  spec.settings = JsonObject{{"image", "x\nExec=evil"}};
  EXPECT_TRUE(quadlet(spec, {0, 0, 8000}).has_error());
}

}  // namespace
}  // namespace bundle::cloud
