// The whole program: it serves, drains, survives its engine and refuses bad input, seen from
// outside.
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

#include "base/process.h"
#include "tests/golden/broken_checkpoints.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"
#include "tests/launch/greedy_check.h"
#include "tests/launch/running_server.h"

namespace bundle::launch {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

/// A golden checkpoint in a folder of its own, and what it must answer.
class ServerProgram : public testing::Test {
 protected:
  ServerProgram() : golden_(make("llama_tied")) {}

  golden::Golden make(const std::string& name) const {
    auto golden = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / name);
    EXPECT_TRUE(golden) << golden.error().message();
    const Status written = golden::make_checkpoint(*golden, model(name));
    EXPECT_TRUE(written) << written.error().message();
    return *golden;
  }

  Path model(const std::string& name = "llama_tied") const { return folder_.path() / name; }

  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"--model", model().string(), "--port", "0"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  /// A generation that lasts: many choices of many tokens.
  static JsonObject long_request(int choices = 4) {
    return {{"model", "llama_tied"}, {"prompt", JsonArray{1, 2, 3}}, {"max_tokens", 1900},
            {"n", choices},          {"ignore_eos", true},           {"temperature", 1.0}};
  }

  /// The exit code of a server that is to end by itself, and its last words.
  std::pair<int, std::string> run(const std::vector<std::string>& words) const {
    RunningServer server(words, folder_.path());
    const auto code = server.wait_exit();
    return {code.value_or(-1), server.log()};
  }

  golden::TempFolder folder_;
  golden::Golden golden_;
};

/// A stream that is read on a thread of its own.
class Stream {
 public:
  Stream(const RunningServer& server, JsonObject request)
      : thread_([this, url = server.url("/v1/completions"), request]() mutable {
          request["stream"] = true;
          HttpRequest http{.method = "POST",
                           .url = url,
                           .headers = {{"Content-Type", "application/json"}},
                           .body = print_json(request)};
          const auto response = http_stream(http, [this](std::string_view piece) {
            const std::lock_guard lock(mutex_);
            text_ += piece;
            return true;
          });
          whole_ = response.has_value();
        }) {}
  ~Stream() { finish(); }

  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  bool begun() {
    return eventually([this] { return text().find("\"choices\"") != std::string::npos; });
  }
  /// The whole of it, once it has ended.
  std::string finish() {
    if (thread_.joinable()) thread_.join();
    return text();
  }
  bool ended_properly() const { return whole_; }

 private:
  std::mutex mutex_;
  std::string text_;
  bool whole_ = false;
  std::thread thread_;
};

TEST_F(ServerProgram, AnswersWhatTheReferenceImplementationAnswers) {
  for (const char* name : {"llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm", "qwen3_moe",
                           "mixtral", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8"}) {
    SCOPED_TRACE(name);
    const golden::Golden golden = make(name);
    RunningServer server({"--model", model(name).string(), "--port", "0", "--name", "golden",
                          "--set", "backend=cpu-reference", "--set", "kv_type=f32"},
                         folder_.path());
    ASSERT_TRUE(server.wait_ready()) << server.log();
    for (const golden::Prompt& prompt : golden.prompts) expect_greedy(server, prompt, 1e-4);
  }
}

/// The value of a counter in /metrics; −1 when it is not there.
double counter(const RunningServer& server, const std::string& name) {
  const auto page = server.get("/metrics");
  if (!page) return -1;
  const std::size_t at = page->body.find("\n" + name + "{");
  if (at == std::string::npos) return -1;
  return std::stod(page->body.substr(page->body.find("} ", at) + 2));
}

/// What a server answers to the golden's prompts, greedy and drawn, as its JSON says it.
std::vector<std::string> answers(const RunningServer& server, const golden::Golden& golden) {
  std::vector<std::string> all;
  for (const double temperature : {0.0, 0.8}) {
    for (const golden::Prompt& prompt : golden.prompts) {
      const auto response =
          server.post("/v1/completions",
                      JsonObject{{"model", "golden"},
                                 {"prompt", JsonArray(prompt.tokens.begin(), prompt.tokens.end())},
                                 {"max_tokens", 200},
                                 {"temperature", temperature},
                                 {"seed", 7},
                                 {"logprobs", 2},
                                 {"ignore_eos", true},
                                 {"return_token_ids", true}});
      EXPECT_TRUE(response && response->status == 200);
      if (!response) return all;
      all.push_back(print_json(parse_json(response->body, "answer")->at("choices")));
    }
  }
  return all;
}

TEST_F(ServerProgram, GuessesChangeNoByteOfAnAnswer) {
  for (const auto& [name, speculation] :
       {std::pair("deepseek_v3_mtp", "mtp"), std::pair("deepseek_v3_mtp", "lookup"),
        std::pair("qwen3_moe", "lookup"), std::pair("llama_tied", "lookup")}) {
    SCOPED_TRACE(std::string(name) + " " + speculation);
    const golden::Golden golden = make(name);
    const auto served = [&](const std::string& setting) {
      return std::vector<std::string>{
          "--model", model(name).string(), "--port", "0", "--name", "golden", "--set", setting};
    };
    const std::string guessing = std::string("speculation=") + speculation;
    RunningServer plain(served("speculation=off"), folder_.path());
    ASSERT_TRUE(plain.wait_ready()) << plain.log();
    RunningServer guesser(served(guessing), folder_.path());
    ASSERT_TRUE(guesser.wait_ready()) << guesser.log();
    EXPECT_EQ(answers(plain, golden), answers(guesser, golden));
    EXPECT_LE(counter(plain, "vllm:spec_decode_num_draft_tokens_total"), 0);
    const double drafted = counter(guesser, "vllm:spec_decode_num_draft_tokens_total");
    const double accepted = counter(guesser, "vllm:spec_decode_num_accepted_tokens_total");
    EXPECT_GT(counter(guesser, "vllm:spec_decode_num_drafts_total"), 0);
    EXPECT_GT(accepted, 0);
    EXPECT_LE(accepted, drafted);
  }
}

TEST_F(ServerProgram, DrainsOnSigterm) {
  RunningServer server(arguments({"--admin-port", "0"}), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  EXPECT_EQ(server.get("/ready")->status, 200);
  Stream stream(server, long_request(1));
  ASSERT_TRUE(stream.begun());
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_exit(), 0);
  const std::string text = stream.finish();
  EXPECT_TRUE(stream.ended_properly());
  EXPECT_THAT(text, HasSubstr("\"finish_reason\":\"length\""));
  EXPECT_THAT(text, HasSubstr("data: [DONE]"));
  EXPECT_THAT(server.log(), HasSubstr("drained"));
}

TEST_F(ServerProgram, WhatOutlastsTheDrainEndsWithALastEvent) {
  RunningServer server(arguments({"--drain-seconds", "0"}), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  Stream stream(server, long_request(100));
  ASSERT_TRUE(stream.begun());
  const auto start = std::chrono::steady_clock::now();
  server.signal(SIGINT);
  EXPECT_EQ(server.wait_exit(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
  EXPECT_THAT(stream.finish(), HasSubstr("data: {\"error\""));
  EXPECT_TRUE(stream.ended_properly());
}

TEST_F(ServerProgram, ASecondSignalEndsAtOnce) {
  RunningServer server(arguments(), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  Stream stream(server, long_request(100));
  ASSERT_TRUE(stream.begun());
  const pid_t engine = server.engine();
  server.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return server.log().find("draining") != std::string::npos; }));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_exit(1s), 130);
  EXPECT_TRUE(eventually([&] { return !identify_process(engine); }));
}

TEST_F(ServerProgram, OutlivesItsEngine) {
  RunningServer server(arguments(), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  Stream stream(server, long_request(1));
  ASSERT_TRUE(stream.begun());
  const pid_t engine = server.engine();
  ASSERT_GT(engine, 0);
  ASSERT_EQ(::kill(engine, SIGKILL), 0);
  const std::string rest = stream.finish();
  EXPECT_THAT(rest, HasSubstr("\"finish_reason\":\"length\"")) << "the next engine went on";
  EXPECT_THAT(rest, Not(HasSubstr("\"error\"")));
  EXPECT_TRUE(stream.ended_properly());
  EXPECT_EQ(server.get("/v1/models")->status, 200);
  ASSERT_TRUE(eventually([&] { return server.get("/ready")->status == 200; }));
  const auto answer = server.post("/v1/completions", JsonObject{{"model", "llama_tied"},
                                                                {"prompt", JsonArray{5, 6}},
                                                                {"max_tokens", 3},
                                                                {"ignore_eos", true}});
  EXPECT_EQ(answer->status, 200) << answer->body;
  EXPECT_NE(server.engine(), engine);
  EXPECT_THAT(server.get("/metrics")->body, HasSubstr("bundle_engine_restarts_total 1"));
}

TEST_F(ServerProgram, TellsSystemdWhatItDoes) {
  const std::string address = (folder_.path() / "notify").string();
  const Fd systemd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(name.sun_path, address.data(), address.size());
  ASSERT_EQ(::bind(systemd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  std::string heard;
  const auto hears = [&](const std::string& text) {
    return eventually([&] {
      char piece[512];
      const ssize_t size = ::recv(systemd.get(), piece, sizeof piece, MSG_DONTWAIT);
      if (size > 0) heard.append(piece, static_cast<std::size_t>(size)) += '\n';
      return heard.find(text) != std::string::npos;
    });
  };
  RunningServer server(
      arguments(), folder_.path(),
      {"env", "NOTIFY_SOCKET=" + address, "WATCHDOG_USEC=200000", server_program()});
  ASSERT_TRUE(server.wait_ready()) << server.log();
  EXPECT_TRUE(hears("READY=1"));
  EXPECT_TRUE(hears("WATCHDOG=1"));
  server.signal(SIGHUP);
  EXPECT_TRUE(hears("RELOADING=1"));
  server.signal(SIGTERM);
  EXPECT_TRUE(hears("STOPPING=1"));
  EXPECT_EQ(server.wait_exit(), 0);
}

TEST_F(ServerProgram, KeysAreReadAgainWhenTheirFileChanges) {
  const Path keys = folder_.path() / "keys";
  ASSERT_TRUE(write_file_atomic(keys, "sk-old\n"));
  RunningServer server(arguments({"--api-key-file", keys.string()}), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  const auto status = [&](const std::string& key) {
    return http_request(
               {.url = server.url("/v1/models"), .headers = {{"Authorization", "Bearer " + key}}})
        ->status;
  };
  EXPECT_EQ(status("sk-old"), 200);
  ASSERT_TRUE(write_file_atomic(keys, "sk-new\n"));
  EXPECT_TRUE(eventually([&] { return status("sk-new") == 200; }));
  EXPECT_EQ(status("sk-old"), 401);
  ASSERT_TRUE(write_file_atomic(keys, "sha256:nonsense\n"));
  EXPECT_TRUE(
      eventually([&] { return server.log().find("nothing was reloaded") != std::string::npos; }));
  EXPECT_EQ(status("sk-new"), 200) << "a mistake changes nothing";
}

TEST_F(ServerProgram, AKilledSupervisorTakesItsEngineAlong) {
  RunningServer server(arguments(), folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  const pid_t engine = server.engine();
  ASSERT_TRUE(identify_process(engine));
  server.signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return !identify_process(engine); }));
}

TEST_F(ServerProgram, RunsThroughALoader) {
  const std::string loader = "/lib64/ld-linux-x86-64.so.2";
  if (!std::filesystem::exists(loader)) GTEST_SKIP() << "no such loader here";
  RunningServer server(arguments(), folder_.path(),
                       {loader, "--library-path", "/usr/lib/x86_64-linux-gnu", server_program()});
  ASSERT_TRUE(server.wait_ready()) << server.log();
  const std::string command = *read_file("/proc/" + std::to_string(server.engine()) + "/cmdline");
  EXPECT_THAT(command, HasSubstr("--library-path"));
  EXPECT_THAT(command, HasSubstr("--engine"));
  EXPECT_EQ(
      server
          .post("/v1/completions",
                JsonObject{{"model", "llama_tied"}, {"prompt", JsonArray{5, 6}}, {"max_tokens", 3}})
          ->status,
      200);
}

TEST_F(ServerProgram, TakesALaunchDocument) {
  std::ofstream(folder_.path() / "launch.json") << print_json(JsonObject{
      {"version", 1},
      {"name", "my-model"},
      {"content_digest", "sha256:0123456789abcdef"},
      {"model",
       JsonArray{JsonObject{{"name", "config.json"},
                            {"path", (model() / "config.json").string()},
                            {"offset", 0},
                            {"length", std::filesystem::file_size(model() / "config.json")},
                            {"sha256", ""}},
                 JsonObject{{"name", "model.safetensors"},
                            {"path", (model() / "model.safetensors").string()},
                            {"offset", 0},
                            {"length", std::filesystem::file_size(model() / "model.safetensors")},
                            {"sha256", ""}}}},
      {"runtime", JsonObject{{"context_length", 128}}}});
  RunningServer server({"--launch", (folder_.path() / "launch.json").string(), "--port", "0",
                        "--set", "runtime.context_length=64"},
                       folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  const std::string models = server.get("/v1/models")->body;
  EXPECT_THAT(models, HasSubstr("\"my-model\""));
  EXPECT_THAT(models, HasSubstr("0123456789abcdef"));
  EXPECT_THAT(models, HasSubstr("\"max_model_len\":64"));
}

TEST_F(ServerProgram, KeysOpenTheApi) {
  std::ofstream(folder_.path() / "keys") << "sk-secret\n";
  RunningServer server(arguments({"--api-key-file", (folder_.path() / "keys").string()}),
                       folder_.path());
  ASSERT_TRUE(server.wait_ready()) << server.log();
  EXPECT_EQ(server.get("/v1/models")->status, 401);
  EXPECT_EQ(http_request({.url = server.url("/v1/models"),
                          .headers = {{"Authorization", "Bearer sk-secret"}}})
                ->status,
            200);
  EXPECT_EQ(server.log().find("sk-secret"), std::string::npos);
}

TEST_F(ServerProgram, ATakenPortIsSaid) {
  RunningServer first(arguments(), folder_.path());
  ASSERT_TRUE(first.wait_ready()) << first.log();
  const std::string url = first.url("");
  const auto [code, log] =
      run({"--model", model().string(), "--port", url.substr(url.rfind(':') + 1)});
  EXPECT_EQ(code, 5);
  EXPECT_THAT(log, HasSubstr("cannot listen"));
}

TEST_F(ServerProgram, BadInputIsRefusedWithItsCode) {
  const auto expect = [this](int expected, const std::string& text,
                             const std::vector<std::string>& words) {
    const auto [code, log] = run(words);
    EXPECT_EQ(code, expected) << log;
    EXPECT_THAT(log, HasSubstr("error: "));
    EXPECT_THAT(log, HasSubstr(text));
    EXPECT_EQ(log.find("ready http"), std::string::npos);
  };
  expect(2, "--prot", arguments({"--prot", "1"}));
  expect(2, "Did you mean runtime.threads?", arguments({"--set", "thread=1"}));
  expect(2, "context_length 4096", arguments({"--set", "context_length=4096"}));
  expect(4, "missing", {"--model", (folder_.path() / "missing").string(), "--port", "0"});
  expect(4, "keys", arguments({"--api-key-file", (folder_.path() / "keys").string()}));

  std::filesystem::resize_file(model() / "model.safetensors", 5000);
  expect(3, "model.safetensors", arguments());
  std::filesystem::remove(model() / "model.safetensors");
  EXPECT_NE(run(arguments()).first, 0);
  std::ofstream(folder_.path() / "launch.json") << R"({"version": 1, "nam": "x"})";
  expect(3, "Did you mean \"name\"?",
         {"--launch", (folder_.path() / "launch.json").string(), "--port", "0"});
}

TEST_F(ServerProgram, BrokenModelsAreRefusedByNameBeforeServing) {
  for (const golden::BrokenCheckpoint& broken : golden::broken_checkpoints()) {
    SCOPED_TRACE(broken.name);
    const Status written = golden::write_broken_checkpoint(
        broken, Path(BUNDLE_SOURCE_DIR) / "tests" / "golden", model(broken.name));
    ASSERT_TRUE(written) << written.error().message();
    const auto [code, log] = run({"--model", model(broken.name).string(), "--port", "0"});
    EXPECT_EQ(code, 3) << log;
    EXPECT_THAT(log, HasSubstr(broken.named));
    EXPECT_EQ(log.find("ready http"), std::string::npos);
  }
}

}  // namespace
}  // namespace bundle::launch
