// Two servers as two machines of a group: they answer what one would, come back whatever of them
// dies, and end together.
#include <csignal>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/process.h"
#include "tests/comm/free_port.h"
#include "tests/golden/temp_folder.h"
#include "tests/launch/greedy_check.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

class GroupProgram : public testing::Test {
 protected:
  golden::Golden make(const std::string& name) const {
    auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / name);
    EXPECT_TRUE(golden) << golden.error().message();
    const Status written = golden::make_checkpoint(*golden, folder_.path() / name);
    EXPECT_TRUE(written) << written.error().message();
    return *golden;
  }

  /// Machine `rank` of two, in float32; machine 1 has the address 127.0.0.2.
  std::unique_ptr<RunningServer> serve(int rank, const std::string& model, const Words& settings,
                                       const Words& further = {}) const {
    Words arguments = {"--model",     (folder_.path() / model).string(),
                       "--port",      "0",
                       "--name",      "golden",
                       "--set",       "backend=cpu-reference",
                       "--set",       "kv_type=f32",
                       "--nodes",     "2",
                       "--node-rank", std::to_string(rank),
                       "--leader",    "127.0.0.1:" + std::to_string(port_)};
    if (rank == 1) arguments.insert(arguments.end(), {"--node-host", "127.0.0.2"});
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    arguments.insert(arguments.end(), further.begin(), further.end());
    return std::make_unique<RunningServer>(arguments, folder_.path());
  }

  /// An answer that takes some seconds.
  static std::future<Result<HttpResponse>> ask_long(const RunningServer& server) {
    return std::async(std::launch::async, [&server] {
      return server.post("/v1/completions", JsonObject{{"model", "golden"},
                                                       {"prompt", JsonArray{1, 2, 3}},
                                                       {"max_tokens", 150},
                                                       {"ignore_eos", true}});
    });
  }

  golden::TempFolder folder_;
  std::uint16_t port_ = comm::free_port();
};

/// Number behind a metric's name; -1 when it is not there.
double metric(const RunningServer& server, const std::string& name) {
  const std::string text = server.get("/metrics")->body;
  for (auto at = text.find("\n" + name); at != text.npos; at = text.find("\n" + name, at + 1)) {
    return std::stod(text.substr(text.rfind(' ', text.find('\n', at + 1))));
  }
  return -1;
}

bool is_ready(const RunningServer& server) {
  const auto answer = server.get("/ready");
  return answer && answer->status == 200;
}

void expect_whole(const Result<HttpResponse>& answer) {
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 200) << answer->body;
  EXPECT_THAT(answer->body, HasSubstr("\"finish_reason\":\"length\""));
  EXPECT_THAT(answer->body, HasSubstr("\"completion_tokens\":150"));
}

struct Served {
  const char* model;
  std::vector<Words> forms;
};

class GroupAnswers : public GroupProgram, public testing::WithParamInterface<Served> {};

TEST_P(GroupAnswers, AreThoseOfTheReferenceImplementation) {
  const golden::Golden golden = make(GetParam().model);
  for (const Words& settings : GetParam().forms) {
    SCOPED_TRACE(testing::PrintToString(settings));
    port_ = comm::free_port();
    const auto worker = serve(1, GetParam().model, settings);
    const auto leader = serve(0, GetParam().model, settings);
    ASSERT_TRUE(leader->wait_ready()) << leader->log() << worker->log();
    ASSERT_TRUE(worker->wait_ready()) << worker->log();
    std::vector<std::thread> clients;
    for (const golden::Prompt& prompt : golden.prompts) {
      clients.emplace_back([&] { expect_greedy(*leader, prompt, 1e-4); });
    }
    for (std::thread& client : clients) client.join();
    leader->signal(SIGTERM);
    EXPECT_EQ(leader->wait_exit(), 0) << leader->log();
    EXPECT_EQ(worker->wait_exit(), 0) << worker->log();
    EXPECT_THAT(worker->log(), HasSubstr("the first machine has ended the group"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GroupAnswers,
                         testing::Values(Served{"llama_tied",
                                                {{"parallel.tensor=2"},
                                                 {"parallel.pipeline=2"},
                                                 {"parallel.tensor=4"},
                                                 {"parallel.tensor=2", "parallel.pipeline=2"}}},
                                         Served{"deepseek_v3",
                                                {{"parallel.tensor=4", "parallel.expert=4",
                                                  "parallel.data=2"}}}),
                         [](const auto& test) { return std::string(test.param.model); });

class PairTest : public GroupProgram {
 protected:
  void SetUp() override {
    make("llama_tied");
    leader_ = serve(0, "llama_tied", settings_);
    worker_ = serve(1, "llama_tied", settings_);
    ASSERT_TRUE(leader_->wait_ready()) << leader_->log() << worker_->log();
    ASSERT_TRUE(worker_->wait_ready()) << worker_->log();
  }

  /// An answer under way, some tokens of which are there.
  std::future<Result<HttpResponse>> begin() const {
    auto answer = ask_long(*leader_);
    EXPECT_TRUE(eventually([&] { return metric(*leader_, "vllm:generation_tokens_total") > 3; }))
        << leader_->log();
    return answer;
  }

  std::string logs() const { return leader_->log() + "---- worker\n" + worker_->log(); }

  Words settings_ = {"parallel.tensor=4"};
  std::unique_ptr<RunningServer> leader_, worker_;
};

TEST_F(PairTest, TheFirstMachineAloneTakesRequests) {
  EXPECT_EQ(worker_->get("/health")->status, 200);
  EXPECT_EQ(worker_->get("/metrics")->status, 200);
  for (const char* path : {"/v1/models", "/", "/openapi.json"}) {
    const auto answer = worker_->get(path);
    EXPECT_EQ(answer->status, 421) << path;
    EXPECT_THAT(answer->body, HasSubstr("machine 2 of 2 of a group: ask the first one"));
  }
  EXPECT_EQ(leader_->engines().size(), 2u);
  EXPECT_EQ(worker_->engines().size(), 2u);
}

TEST_F(PairTest, ARankOfEitherMachineMayDie) {
  for (const auto& [machine, victim] : {std::pair(worker_.get(), 0), std::pair(worker_.get(), 1),
                                        std::pair(leader_.get(), 0), std::pair(leader_.get(), 1)}) {
    SCOPED_TRACE(victim + (machine == leader_.get() ? 0 : 2));
    const double restarts = metric(*leader_, "bundle_engine_restarts_total");
    const double tokens = metric(*leader_, "vllm:generation_tokens_total");
    auto answer = ask_long(*leader_);
    ASSERT_TRUE(
        eventually([&] { return metric(*leader_, "vllm:generation_tokens_total") > tokens + 3; }));
    const auto before = machine->engines();
    ASSERT_EQ(before.size(), 2u);
    ASSERT_EQ(::kill(before[static_cast<std::size_t>(victim)], SIGKILL), 0);
    expect_whole(answer.get());
    EXPECT_EQ(metric(*leader_, "bundle_engine_restarts_total"), restarts + 1) << logs();
    ASSERT_TRUE(eventually([&] { return is_ready(*worker_); })) << logs();
  }
  EXPECT_THAT(worker_->log(), HasSubstr("was killed by signal 9"));
}

TEST_F(PairTest, AMachineThatDiesIsReplaced) {
  auto answer = begin();
  worker_->signal(SIGKILL);
  ASSERT_TRUE(eventually([&] { return !is_ready(*leader_); })) << logs();
  ASSERT_TRUE(eventually([&] {
    return leader_->log().find("waiting for machine 2 of 2 at 127.0.0.1") != std::string::npos;
  })) << logs();
  worker_ = serve(1, "llama_tied", settings_);
  expect_whole(answer.get());
  ASSERT_TRUE(worker_->wait_ready()) << logs();
}

TEST_F(PairTest, TheFirstMachineMayStartAgain) {
  leader_->signal(SIGKILL);
  ASSERT_TRUE(eventually([&] { return !is_ready(*worker_); })) << logs();
  leader_ = serve(0, "llama_tied", settings_);
  ASSERT_TRUE(leader_->wait_ready()) << logs();
  ASSERT_TRUE(eventually([&] { return is_ready(*worker_); })) << logs();
  auto answer = ask_long(*leader_);
  expect_whole(answer.get());
}

TEST_F(PairTest, AnAnswerUnderWayEndsBeforeTheGroupDoes) {
  auto answer = begin();
  leader_->signal(SIGTERM);
  expect_whole(answer.get());
  EXPECT_EQ(leader_->wait_exit(), 0) << logs();
  EXPECT_EQ(worker_->wait_exit(), 0) << logs();
}

/// Its ranks stay for as long as the group might take to drain, and then go.
TEST_F(PairTest, AWorkerThatIsAskedToEndGoesAndIsWaitedFor) {
  worker_.reset();
  worker_ = serve(1, "llama_tied", settings_, {"--drain-seconds", "0"});
  ASSERT_TRUE(worker_->wait_ready()) << logs();
  ASSERT_TRUE(eventually([&] { return is_ready(*leader_); })) << logs();
  worker_->signal(SIGTERM);
  EXPECT_TRUE(is_ready(*leader_));
  EXPECT_EQ(worker_->wait_exit(), 0) << logs();
  ASSERT_TRUE(eventually([&] { return !is_ready(*leader_); })) << logs();
  EXPECT_EQ(leader_->get("/health")->status, 503) << "as while an engine is started again";
  worker_ = serve(1, "llama_tied", settings_);
  ASSERT_TRUE(eventually([&] { return is_ready(*leader_); })) << logs();
}

TEST_F(GroupProgram, AnotherModelIsRefusedByNameAndTheRightOneIsTaken) {
  make("llama_tied");
  make("qwen2_bias");
  const auto leader = serve(0, "llama_tied", {"parallel.tensor=2"});
  const auto stranger = serve(1, "qwen2_bias", {"parallel.tensor=2"});
  EXPECT_EQ(stranger->wait_exit(), 2) << stranger->log();
  for (const RunningServer* server : {leader.get(), stranger.get()}) {
    EXPECT_THAT(server->log(), HasSubstr("machine 2 of 2 has another model: sha256:"));
  }
  const auto other = serve(1, "llama_tied", {"parallel.pipeline=2"});
  EXPECT_EQ(other->wait_exit(), 2) << other->log();
  EXPECT_THAT(other->log(), HasSubstr("another runtime.parallel.tensor: 1, where the first machine "
                                      "has 2"));
  const auto worker = serve(1, "llama_tied", {"parallel.tensor=2"});
  EXPECT_TRUE(leader->wait_ready()) << leader->log();
  EXPECT_TRUE(worker->wait_ready()) << worker->log();
}

TEST_F(GroupProgram, AnotherTokenIsRefusedByName) {
  make("llama_tied");
  const auto file = [&](const char* name, const char* text) {
    EXPECT_TRUE(write_file_atomic(folder_.path() / name, text));
    return Words{"--group-token-file", (folder_.path() / name).string()};
  };
  const Words right = file("right", "a secret of the group\n"),
              wrong = file("wrong", "another secret here");
  const auto leader = serve(0, "llama_tied", {"parallel.tensor=2"}, right);
  const auto liar = serve(1, "llama_tied", {"parallel.tensor=2"}, wrong);
  EXPECT_EQ(liar->wait_exit(), 3) << liar->log();
  EXPECT_THAT(liar->log(), HasSubstr("does not have this group's token"));
  const auto worker = serve(1, "llama_tied", {"parallel.tensor=2"}, right);
  EXPECT_TRUE(leader->wait_ready()) << leader->log();
  for (const RunningServer* server : {leader.get(), liar.get(), worker.get()}) {
    EXPECT_THAT(server->log(), Not(HasSubstr("secret")));
  }
}

TEST_F(GroupProgram, WhatNoGroupCanBeIsRefusedByName) {
  make("llama_tied");
  const auto expect = [&](const Words& settings, const char* text) {
    const auto server = serve(0, "llama_tied", settings);
    EXPECT_EQ(server->wait_exit(), 2) << server->log();
    EXPECT_THAT(server->log(), HasSubstr(text));
  };
  expect({}, "1 rank(s) do not divide over 2 machines");
  expect({"parallel.pipeline=3"}, "3 rank(s) do not divide over 2 machines");
}

/// What one machine cannot load, the whole group does not serve, and says so.
TEST_F(GroupProgram, WhatARankCannotLoadIsSaidOnBothMachines) {
  make("llama_tied");
  const auto leader = serve(0, "llama_tied", {"parallel.tensor=2", "parallel.expert=2"});
  const auto worker = serve(1, "llama_tied", {"parallel.tensor=2", "parallel.expert=2"});
  EXPECT_EQ(leader->wait_exit(), 2) << leader->log();
  EXPECT_EQ(worker->wait_exit(), 2) << worker->log();
  EXPECT_THAT(leader->log(), HasSubstr("runtime.parallel.expert"));
}

}  // namespace
}  // namespace bundle::launch
