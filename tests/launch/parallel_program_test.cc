// The whole program with an engine process for each rank: it answers what one rank would, and
// survives the death of any of them.
#include <csignal>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>

#include "base/process.h"
#include "tests/golden/temp_folder.h"
#include "tests/launch/greedy_check.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

class ParallelProgram : public testing::Test {
 protected:
  golden::Golden make(const std::string& name) const {
    auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / name);
    EXPECT_TRUE(golden) << golden.error().message();
    const Status written = golden::make_checkpoint(*golden, folder_.path() / name);
    EXPECT_TRUE(written) << written.error().message();
    return *golden;
  }

  /// A server of a golden model, in float32, with these further settings.
  std::unique_ptr<RunningServer> serve(const std::string& name, const Words& settings) const {
    Words arguments = {
        "--model", (folder_.path() / name).string(), "--port", "0",          "--name", "golden",
        "--set",   "backend=cpu-reference",          "--set",  "kv_type=f32"};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return std::make_unique<RunningServer>(arguments, folder_.path());
  }

  golden::TempFolder folder_;
};

/// "parallel.tensor=2", …, of the forms that are not 1.
Words form(int tensor, int pipeline = 1, int expert = 1, int data = 1) {
  Words words;
  const auto add = [&](const char* key, int value) {
    if (value != 1)
      words.push_back(std::string("runtime.parallel.") + key + "=" + std::to_string(value));
  };
  add("tensor", tensor);
  add("pipeline", pipeline);
  add("expert", expert);
  add("data", data);
  return words;
}

struct Served {
  const char* model;
  std::vector<Words> forms;
};

class ParallelAnswers : public ParallelProgram, public testing::WithParamInterface<Served> {};

TEST_P(ParallelAnswers, AreThoseOfTheReferenceImplementation) {
  const golden::Golden golden = make(GetParam().model);
  for (const Words& settings : GetParam().forms) {
    SCOPED_TRACE(testing::PrintToString(settings));
    const auto server = serve(GetParam().model, settings);
    ASSERT_TRUE(server->wait_ready()) << server->log();
    std::vector<std::thread> clients;  // at once, so that every group has something to do
    for (const golden::Prompt& prompt : golden.prompts) {
      clients.emplace_back([&] { expect_greedy(*server, prompt, 1e-4); });
    }
    for (std::thread& client : clients) client.join();
    server->signal(SIGTERM);
    EXPECT_EQ(server->wait_exit(), 0) << server->log();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ParallelAnswers,
    testing::Values(Served{"llama_tied", {form(2), form(4), form(1, 2), form(2, 1, 1, 2)}},
                    Served{"qwen2_bias", {form(2)}},
                    Served{"qwen3_moe", {form(2, 1, 2), form(4, 1, 2), form(2, 1, 2, 2)}},
                    Served{"mixtral", {form(4), form(4, 1, 4, 2)}},
                    Served{"deepseek_v2_lite", {form(2), form(4, 1, 4, 4)}},
                    Served{"deepseek_v3", {form(4, 1, 4), form(2, 2, 2), form(4, 1, 4, 2)}},
                    Served{"deepseek_v3_fp8", {form(2, 1, 2), form(1, 4), form(2, 1, 2, 2)}}),
    [](const auto& test) { return std::string(test.param.model); });

/// Number behind a metric's name; -1 when it is not there.
double metric(const RunningServer& server, const std::string& name) {
  const std::string text = server.get("/metrics")->body;
  for (auto at = text.find("\n" + name); at != text.npos; at = text.find("\n" + name, at + 1)) {
    const auto end = text.find('\n', at + 1);
    return std::stod(text.substr(text.rfind(' ', end)));
  }
  return -1;
}

TEST_F(ParallelProgram, DraftsChangeNoTokenOnRanksEither) {
  const golden::Golden golden = make("deepseek_v3_mtp");
  for (const Words& ranks : {form(2, 1, 2), form(1, 2), form(2, 2, 2), form(2, 1, 2, 2)}) {
    SCOPED_TRACE(testing::PrintToString(ranks));
    Words drafting = ranks;
    drafting.emplace_back("speculation=mtp");
    const auto plain = serve(golden.name, ranks), guessing = serve(golden.name, drafting);
    ASSERT_TRUE(plain->wait_ready()) << plain->log();
    ASSERT_TRUE(guessing->wait_ready()) << guessing->log();
    for (const golden::Prompt& prompt : golden.prompts) {
      EXPECT_EQ(generate(*plain, prompt), generate(*guessing, prompt));
      expect_greedy(*guessing, prompt, 1e-4);
    }
    EXPECT_GT(metric(*guessing, "vllm:spec_decode_num_draft_tokens_total"), 0);
  }
}

TEST_F(ParallelProgram, ADeadRankEndsAllAndTheSetIsStartedAgain) {
  make("llama_tied");
  for (const std::size_t victim : {0u, 1u, 3u}) {
    SCOPED_TRACE(victim);
    const auto server = serve("llama_tied", form(4));
    ASSERT_TRUE(server->wait_ready()) << server->log();
    const std::vector<pid_t> before = server->engines();
    ASSERT_EQ(before.size(), 4u);
    // In the middle of an answer, which the next set goes on with.
    auto client = std::async(std::launch::async, [&] {
      return server->post("/v1/completions", JsonObject{{"model", "golden"},
                                                        {"prompt", JsonArray{1, 2, 3}},
                                                        {"max_tokens", 1500},
                                                        {"ignore_eos", true}});
    });
    ASSERT_TRUE(eventually([&] { return metric(*server, "vllm:generation_tokens_total") > 3; }))
        << server->log();
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(::kill(before[victim], SIGKILL), 0);
    for (const pid_t pid : before) {
      EXPECT_TRUE(eventually([&] { return !identify_process(pid); })) << pid;
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
    const Result<HttpResponse> answer = client.get();
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->status, 200) << answer->body;
    EXPECT_THAT(answer->body, HasSubstr("\"finish_reason\":\"length\""));
    EXPECT_EQ(server->engines().size(), 4u);
    EXPECT_THAT(server->get("/metrics")->body, HasSubstr("bundle_engine_restarts_total 1"));
    EXPECT_THAT(server->log(), HasSubstr("was killed by signal 9"));
  }
}

TEST_F(ParallelProgram, AnIdleSetRecoversToo) {
  make("llama_tied");
  const auto server = serve("llama_tied", form(2));
  ASSERT_TRUE(server->wait_ready()) << server->log();
  ASSERT_EQ(::kill(server->engines().at(1), SIGKILL), 0);
  ASSERT_TRUE(eventually([&] {
    return server->get("/metrics")->body.find("bundle_engine_restarts_total 1") !=
           std::string::npos;
  }));
  ASSERT_TRUE(eventually([&] { return server->get("/ready")->status == 200; })) << server->log();
  EXPECT_EQ(
      server
          ->post("/v1/completions",
                 JsonObject{{"model", "golden"}, {"prompt", JsonArray{5, 6}}, {"max_tokens", 3}})
          ->status,
      200);
}

TEST_F(ParallelProgram, AKilledSupervisorTakesAllRanksAlong) {
  make("llama_tied");
  const auto server = serve("llama_tied", form(4));
  ASSERT_TRUE(server->wait_ready()) << server->log();
  const std::vector<pid_t> ranks = server->engines();
  server->signal(SIGKILL);
  for (const pid_t rank : ranks) {
    EXPECT_TRUE(eventually([&] { return !identify_process(rank); }));
  }
}

TEST_F(ParallelProgram, WhatDoesNotDivideIsRefusedByName) {
  make("llama_tied");
  make("deepseek_v3_fp8");
  const auto expect = [this](const char* model, const Words& settings, const char* text) {
    const auto server = serve(model, settings);
    EXPECT_EQ(server->wait_exit(), 2) << server->log();
    EXPECT_THAT(server->log(), HasSubstr(text));
  };
  expect("llama_tied", form(3), "4 heads do not divide over 3 ranks");
  expect("llama_tied", form(2, 1, 2), "runtime.parallel.expert");
  expect("llama_tied", form(1, 1, 2), "experts over 2 of 1 tensor-parallel ranks");
  expect("deepseek_v3_fp8", form(2), "pieces of 128");
  expect("llama_tied", {"parallel.tensors=2"}, "Did you mean runtime.parallel.tensor?");
  expect("llama_tied", {"parallel.tensor=0"}, "a whole number from 1 to 64");
}

}  // namespace
}  // namespace bundle::launch
