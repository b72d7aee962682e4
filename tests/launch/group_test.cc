#include "runtime/launch/group.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "runtime/launch/engine_child.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

/// Variables of the environment for as long as it lives; none of a scheduler's besides.
class Surrounded {
 public:
  using Variables = std::vector<std::pair<const char*, const char*>>;

  explicit Surrounded(const Variables& variables) {
    clear();
    for (const auto& [name, value] : variables) ::setenv(name, value, 1);
  }
  ~Surrounded() { clear(); }
  Surrounded(const Surrounded&) = delete;
  Surrounded& operator=(const Surrounded&) = delete;

 private:
  static void clear() {
    for (const char* name : {"LWS_GROUP_SIZE", "LWS_WORKER_INDEX", "LWS_LEADER_ADDRESS",
                             "SLURM_NNODES", "SLURM_JOB_NUM_NODES", "SLURM_NODEID", "MASTER_ADDR",
                             "MASTER_PORT", "BUNDLE_GROUP_TOKEN"}) {
      ::unsetenv(name);
    }
  }
};

Result<Group> group_of(Words words) {
  words.insert(words.begin(), {"--model", "m"});
  const auto line = parse_arguments(words);
  if (!line) return line.error();
  return read_group(line->arguments);
}

std::string refusal(const Words& words) {
  const auto group = group_of(words);
  if (group) return "accepted";
  EXPECT_EQ(group.error().code, ErrorCode::kUsage);
  return group.error().message();
}

TEST(GroupArguments, WithoutThemAMachineIsByItself) {
  const Surrounded around({{"SLURM_NNODES", "4"}, {"LWS_GROUP_SIZE", "2"}});
  const Group group = group_of({}).value();
  EXPECT_TRUE(group.alone());
  EXPECT_TRUE(group.leads());
}

TEST(GroupArguments, SayEverything) {
  const Surrounded around(Surrounded::Variables{{"BUNDLE_GROUP_TOKEN", "a secret of sixteen"}});
  const Group group = group_of({"--nodes", "3", "--node-rank", "2", "--leader", "node1:4000",
                                "--node-host", "10.0.0.3"})
                          .value();
  EXPECT_EQ(group.nodes, 3);
  EXPECT_EQ(group.node_rank, 2);
  EXPECT_FALSE(group.leads());
  EXPECT_EQ(group.leader_host, "node1");
  EXPECT_EQ(group.leader_port, 4000);
  EXPECT_EQ(group.own_host, "10.0.0.3");
  EXPECT_EQ(group.token, "a secret of sixteen");
  EXPECT_EQ(group.name(), "machine 3 of 3");
}

TEST(GroupArguments, LeadersAreReadInEveryForm) {
  const auto leader = [](const char* text) {
    const Group group =
        group_of({"--nodes", "2", "--node-rank", "0", "--leader", text, "--group-without-token"})
            .value();
    return group.leader_host + " " + std::to_string(group.leader_port);
  };
  EXPECT_EQ(leader("node1"), "node1 29500");
  EXPECT_EQ(leader("127.0.0.1:1"), "127.0.0.1 1");
  EXPECT_EQ(leader("[::1]:77"), "::1 77");
  EXPECT_EQ(leader("[fe80::1]"), "fe80::1 29500");
  EXPECT_EQ(leader("fe80::1"), "fe80::1 29500");
}

TEST(GroupArguments, AutoAsksLeaderWorkerSet) {
  const Surrounded around({{"LWS_GROUP_SIZE", "2"},
                           {"LWS_WORKER_INDEX", "1"},
                           {"LWS_LEADER_ADDRESS", "prod-0.prod.llm"},
                           {"BUNDLE_GROUP_TOKEN", "a secret of sixteen"}});
  const Group group = group_of({"--nodes", "auto"}).value();
  EXPECT_EQ(group.nodes, 2);
  EXPECT_EQ(group.node_rank, 1);
  EXPECT_EQ(group.leader_host, "prod-0.prod.llm");
  EXPECT_EQ(group.leader_port, 29500);
}

TEST(GroupArguments, AutoTakesAnIndexFromAPodsName) {
  const Surrounded around({{"LWS_GROUP_SIZE", "4"},
                           {"LWS_WORKER_INDEX", "prod-0-3"},
                           {"LWS_LEADER_ADDRESS", "127.0.0.1"}});
  EXPECT_EQ(group_of({"--nodes", "auto"})->node_rank, 3);
}

TEST(GroupArguments, AutoAsksSlurm) {
  const Surrounded around({{"SLURM_NNODES", "2"},
                           {"SLURM_NODEID", "1"},
                           {"MASTER_ADDR", "n1"},
                           {"MASTER_PORT", "19000"}});
  const Group group = group_of({"--nodes", "auto", "--group-without-token"}).value();
  EXPECT_EQ(group.nodes, 2);
  EXPECT_EQ(group.node_rank, 1);
  EXPECT_EQ(group.leader_host, "n1");
  EXPECT_EQ(group.leader_port, 19000);
}

TEST(GroupArguments, WhatIsGivenGoesBeforeWhatIsFound) {
  const Surrounded around({{"SLURM_NNODES", "2"}, {"SLURM_NODEID", "1"}, {"MASTER_ADDR", "n1"}});
  const Group group =
      group_of({"--nodes", "auto", "--leader", "127.0.0.1", "--node-rank", "0"}).value();
  EXPECT_EQ(group.leader_host, "127.0.0.1");
  EXPECT_EQ(group.node_rank, 0);
}

TEST(GroupArguments, WhatIsMissingOrWrongIsNamed) {
  const Surrounded around(Surrounded::Variables{});
  EXPECT_THAT(refusal({"--nodes", "auto"}), HasSubstr("LWS_GROUP_SIZE or SLURM_NNODES"));
  EXPECT_THAT(refusal({"--nodes", "many"}), HasSubstr("'many' is no number"));
  EXPECT_THAT(refusal({"--nodes", "65", "--node-rank", "0"}), HasSubstr("1 to 64 machines"));
  EXPECT_THAT(refusal({"--nodes", "2", "--leader", "h"}), HasSubstr("--node-rank"));
  EXPECT_THAT(refusal({"--nodes", "2", "--node-rank", "2", "--leader", "h"}),
              HasSubstr("no machine 2 of 2, counted from 0"));
  EXPECT_THAT(refusal({"--nodes", "2", "--node-rank", "1"}), HasSubstr("--leader"));
  EXPECT_THAT(refusal({"--nodes", "2", "--node-rank", "1", "--leader", "h:0"}),
              HasSubstr("no port 0"));
  EXPECT_THAT(refusal({"--nodes", "2", "--node-rank", "1", "--leader", "[::1"}),
              HasSubstr("no address"));
}

TEST(GroupArguments, ATokenIsAskedForBeyondLoopback) {
  const Words far = {"--nodes", "2", "--node-rank", "1", "--leader", "10.0.0.1"};
  {
    const Surrounded around(Surrounded::Variables{});
    EXPECT_THAT(refusal(far), HasSubstr("needs a token"));
    Words open = far;
    open.emplace_back("--group-without-token");
    EXPECT_EQ(refusal(open), "accepted");
    EXPECT_EQ(refusal({"--nodes", "2", "--node-rank", "1", "--leader", "127.0.0.7"}), "accepted");
    EXPECT_EQ(refusal({"--nodes", "2", "--node-rank", "1", "--leader", "::1"}), "accepted");
    EXPECT_THAT(refusal({"--nodes", "2", "--node-rank", "1", "--leader", "localhost"}),
                HasSubstr("needs a token"))
        << "a name may mean any address";
  }
  const Surrounded around(Surrounded::Variables{{"BUNDLE_GROUP_TOKEN", "too short"}});
  EXPECT_THAT(refusal(far), HasSubstr("shorter than 16 bytes"));
}

TEST(GroupDocument, IsReadAsItWasWritten) {
  const Path file = Path(testing::TempDir()) / "group_model.gguf";
  ASSERT_TRUE(write_file_atomic(file, "weights"));
  LaunchSpec spec;
  spec.model = format::ModelSource::open(file).value();
  RuntimeSettings settings;
  settings.parallel.tensor = 4;
  const Group group{.nodes = 2,
                    .node_rank = 1,
                    .leader_host = "n1",
                    .leader_port = 77,
                    .own_host = "n2",
                    .token = "a secret"};
  const std::string text = group_document(group, spec, settings).value();
  const Fd memory = memory_file(text).value();
  const comm::GroupPlace place = read_group_document(memory.get()).value();
  EXPECT_EQ(place.ranks, 4);
  EXPECT_EQ(place.nodes, 2);
  EXPECT_EQ(place.leader_host, "n1");
  EXPECT_EQ(place.leader_port, 77);
  EXPECT_EQ(place.own_host, "n2");
  EXPECT_EQ(place.token, "a secret");
  EXPECT_THAT(place.facts, testing::Contains(std::pair<std::string, std::string>(
                               "runtime.parallel.tensor", "4")));

  // The same model elsewhere is the same; another byte is not.
  ASSERT_TRUE(write_file_atomic(file, "weightz"));
  EXPECT_NE(group_document(group, spec, settings).value(), text);
  ASSERT_TRUE(write_file_atomic(file, "weights"));
  EXPECT_EQ(group_document(group, spec, settings).value(), text);
  settings.parallel.tensor = 3;
  EXPECT_THAT(group_document(group, spec, settings).error().message(),
              HasSubstr("3 rank(s) do not divide over 2 machines"));
  EXPECT_EQ(group_document(Group(), spec, settings).value(), "");
}

}  // namespace
}  // namespace bundle::launch
