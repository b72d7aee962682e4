// A supervisor's side of real engine processes: this program, started again with --engine, runs a
// fake model there. The spec's words tell it how to behave.
#include "runtime/launch/engine_process.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "runtime/launch/engine_loop.h"
#include "tests/engine/fake_model.h"

namespace bundle::launch {
namespace {

using engine::FakeConfig;
using engine::FinishReason;
using engine::Outcome;
using engine::Request;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::int64_t kContext = 65536;
constexpr std::int32_t kDeadly = 41;  // a prompt that begins with this token kills its engine
constexpr std::int32_t kHanging = 42;

FakeConfig fake_config() {
  FakeConfig fake;
  fake.max_positions = kContext;
  fake.eos_ids = {};
  return fake;
}

/// In the engine process. A step takes at least a millisecond, so that tests can come between.
void behave(std::span<const model::SequenceChunk> chunks) {
  std::this_thread::sleep_for(1ms);
  for (const auto& chunk : chunks) {
    // A prompt's first token alone: an answer that is gone on with may hold any.
    if (chunk.position != 0) continue;
    const std::int32_t token = chunk.tokens.front();
    if (token == kDeadly) ::kill(::getpid(), SIGKILL);
    while (token == kHanging) std::this_thread::sleep_for(1s);
  }
}

Result<LoadedEngine> load(const std::string& spec, const Progress& progress) {
  if (progress) progress("loading weights", 5, 10);
  if (spec.find("slow") != spec.npos) std::this_thread::sleep_for(300ms);
  if (spec.find("refuse") != spec.npos) return bad_input("no such tensor", "model.gguf");
  if (spec.find("crash") != spec.npos) ::kill(::getpid(), SIGKILL);
  FakeConfig fake = fake_config();
  fake.on_step = behave;
  engine::EngineOptions options;
  options.kv_tokens = kContext * 2;
  std::shared_ptr<kernels::Device> device = engine::make_fake_device();
  BUNDLE_TRY(auto made, engine::Engine::create(engine::make_fake_model(fake), *device, options));
  return LoadedEngine{std::move(device), std::move(made)};
}

class EngineProcessTest : public testing::Test {
 protected:
  void start(const std::string& spec = "", std::chrono::milliseconds step_limit = 60s) {
    EngineProcessOptions options;
    options.command = *self_command(1);
    options.command.arguments.resize(1);
    options.spec = spec;
    options.step_limit = step_limit;
    options.backoff = 5ms;
    options.ring_bytes = 4096;  // small, so that messages come in pieces
    options.on_change = [this] { notify(); };
    client_ = EngineProcess::start(std::move(options));
  }

  void start_ready(const std::string& spec = "") {
    start(spec);
    ASSERT_TRUE(wait([&] { return client_->ready(); }));
  }

  static Request request(std::uint64_t id, std::int32_t max_tokens) {
    Request r;
    r.id = id;
    r.prompt = {static_cast<std::int32_t>(id % 40), 2, 3};
    r.sampling.seed = id;
    r.sampling.max_tokens = max_tokens;
    return r;
  }

  void submit(const Request& r) {
    client_->submit(r, [this](const engine::Event& event) {
      const std::lock_guard lock(mutex_);
      add_event(outcomes_[event.id], event);
      if (!event.error.empty()) errors_[event.id] = event.error;
      changed_.notify_all();
    });
  }

  /// True when it holds within the time.
  template <typename Condition>
  bool wait(Condition holds, std::chrono::milliseconds limit = 20s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, holds);
  }

  /// The same for what nobody is told of.
  template <typename Condition>
  static bool eventually(Condition holds) {
    for (int i = 0; i < 10000 && !holds(); ++i) std::this_thread::sleep_for(1ms);
    return holds();
  }

  bool wait_end(std::uint64_t id) {
    return wait([&] { return outcomes_[id].finish != FinishReason::kNone; });
  }
  bool wait_tokens(std::uint64_t id, std::size_t count) {
    return wait([&] { return outcomes_[id].tokens.size() >= count; });
  }

  Outcome outcome(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    return outcomes_[id];
  }

  void expect_whole(const Request& r) {
    ASSERT_TRUE(wait_end(r.id));
    const Outcome expected = engine::run_alone(r, fake_config(), kContext);
    EXPECT_EQ(outcome(r.id).tokens, expected.tokens);
    EXPECT_EQ(outcome(r.id).finish, expected.finish);
  }

  void kill_engine(int signal = SIGKILL) {
    ASSERT_GT(client_->pid(), 0);
    ASSERT_EQ(::kill(static_cast<pid_t>(client_->pid()), signal), 0);
  }

  void notify() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Outcome> outcomes_;
  std::map<std::uint64_t, std::string> errors_;
  std::unique_ptr<EngineProcess> client_;
};

TEST_F(EngineProcessTest, AnswersAsAnEngineInThisProcessWould) {
  start_ready();
  for (std::uint64_t id = 1; id <= 8; ++id) submit(request(id, 30));
  for (std::uint64_t id = 1; id <= 8; ++id) expect_whole(request(id, 30));
  EXPECT_EQ(client_->stats().generated_tokens, 8 * 30);
  EXPECT_EQ(client_->stats().kv_blocks_used, 0);
  EXPECT_EQ(client_->stats().max_context, kContext);
  EXPECT_EQ(client_->restarts(), 0);
}

TEST_F(EngineProcessTest, RequestsBeforeItIsReadyWait) {
  start("slow");
  EXPECT_FALSE(client_->ready());
  submit(request(1, 5));
  submit(request(2, 5));
  client_->abort(2);
  ASSERT_TRUE(wait_end(2));
  EXPECT_EQ(outcome(2).finish, FinishReason::kAborted);
  EXPECT_FALSE(client_->ready());
  EXPECT_TRUE(eventually([&] { return client_->stats().waiting == 1; }));
  expect_whole(request(1, 5));
}

TEST_F(EngineProcessTest, TellsHowLoadingGoes) {
  start("slow");
  EXPECT_TRUE(eventually([&] { return client_->progress().stage == "loading weights"; }));
  EXPECT_EQ(client_->progress().total, 10u);
}

TEST_F(EngineProcessTest, MessagesLargerThanTheRingComeThrough) {
  start_ready();
  Request r = request(1, 3);
  for (int i = 0; i < 20000; ++i) r.prompt.push_back(i % 40);
  r.sampling.prompt_logprobs = 2;
  // The fake model is quadratic in the prompt; a bound on its length keeps the test short.
  r.prompt.resize(2500);
  submit(r);
  expect_whole(r);
  EXPECT_EQ(outcome(1).prompt_logprobs.size(), r.prompt.size() - 1);
}

TEST_F(EngineProcessTest, AbortsReachTheEngine) {
  start_ready();
  submit(request(1, 60000));
  ASSERT_TRUE(wait_tokens(1, 3));
  client_->abort(1);
  ASSERT_TRUE(wait_end(1));
  EXPECT_EQ(outcome(1).finish, FinishReason::kAborted);
}

TEST_F(EngineProcessTest, AKilledEngineIsReplacedAndGoesOnWhereItWas) {
  start_ready();
  const Request long_one = request(1, 400);
  submit(long_one);
  ASSERT_TRUE(wait_tokens(1, 3));
  kill_engine(SIGSTOP);  // now nothing can be answered any more
  submit(request(2, 20));
  submit(request(3, 20));
  std::this_thread::sleep_for(20ms);
  kill_engine();
  expect_whole(request(2, 20));
  expect_whole(request(3, 20));
  expect_whole(long_one);
  EXPECT_EQ(client_->restarts(), 1);
}

/// With penalties and without a seed of its own: the next engine must know what was said, and draw
/// as the last one would have.
TEST_F(EngineProcessTest, AnInterruptedAnswerIsTheUninterruptedOne) {
  start_ready();
  Request r = request(1, 300);
  r.sampling.temperature = 1;
  r.sampling.repetition_penalty = 1.3;
  r.sampling.frequency_penalty = 0.5;
  r.sampling.logprobs = 2;
  submit(r);
  ASSERT_TRUE(wait_tokens(1, 40));
  kill_engine();
  ASSERT_TRUE(wait_end(1));
  EXPECT_EQ(client_->restarts(), 1);
  expect_whole(r);
  EXPECT_TRUE(outcome(1).logprobs == engine::run_alone(r, fake_config(), kContext).logprobs);
}

TEST_F(EngineProcessTest, SurvivesManyDeaths) {
  start_ready();
  for (int round = 0; round < 12; ++round) {
    const auto id = static_cast<std::uint64_t>(round);
    submit(request(id, 60));
    ASSERT_TRUE(wait_tokens(id, 1));
    if (outcome(id).finish == FinishReason::kNone) kill_engine();
    expect_whole(request(id, 60));
    ASSERT_TRUE(wait([&] { return client_->ready(); }));
  }
  submit(request(100, 10));
  expect_whole(request(100, 10));
}

TEST_F(EngineProcessTest, ARequestThatKillsItsEngineEndsAfterThreeTries) {
  start_ready();
  Request deadly = request(1, 5);
  deadly.prompt = {kDeadly};
  submit(deadly);
  ASSERT_TRUE(wait_end(1));
  EXPECT_EQ(outcome(1).finish, FinishReason::kError);
  EXPECT_THAT(errors_[1], HasSubstr("signal 9"));
  ASSERT_TRUE(wait([&] { return client_->ready(); }));
  EXPECT_EQ(client_->restarts(), 3);
  submit(request(2, 5));
  expect_whole(request(2, 5));
}

TEST_F(EngineProcessTest, AHangingEngineIsKilledAndReplaced) {
  start("", 200ms);
  ASSERT_TRUE(wait([&] { return client_->ready(); }));
  Request hanging = request(1, 5);
  hanging.prompt = {kHanging};
  submit(hanging);
  ASSERT_TRUE(wait_end(1));
  EXPECT_EQ(outcome(1).finish, FinishReason::kError);
  ASSERT_TRUE(wait([&] { return client_->ready(); }));
  submit(request(2, 5));
  expect_whole(request(2, 5));
}

TEST_F(EngineProcessTest, ALongIdleTimeIsNoHang) {
  start("", 100ms);
  ASSERT_TRUE(wait([&] { return client_->ready(); }));
  std::this_thread::sleep_for(300ms);
  submit(request(1, 150));  // takes longer than the limit, step by step
  expect_whole(request(1, 150));
  EXPECT_EQ(client_->restarts(), 0);
}

TEST_F(EngineProcessTest, AModelThatCannotBeLoadedSaysWhy) {
  start("refuse");
  submit(request(1, 5));
  ASSERT_TRUE(wait_end(1));
  ASSERT_TRUE(wait([&] { return client_->failure().has_value(); }));
  EXPECT_EQ(client_->failure()->code, ErrorCode::kBadInput);
  EXPECT_EQ(client_->failure()->where, "model.gguf");
  EXPECT_EQ(outcome(1).finish, FinishReason::kError);
  submit(request(2, 5));
  ASSERT_TRUE(wait_end(2));
  EXPECT_THAT(errors_[2], HasSubstr("no such tensor"));
}

TEST_F(EngineProcessTest, AnEngineThatAlwaysDiesIsGivenUp) {
  start("crash");
  ASSERT_TRUE(wait([&] { return client_->failure().has_value(); }));
  EXPECT_EQ(client_->failure()->code, ErrorCode::kFailed);
  EXPECT_THAT(client_->failure()->what, HasSubstr("5 times in a row"));
  EXPECT_EQ(client_->restarts(), 4);
}

TEST_F(EngineProcessTest, AProgramThatIsNotThereIsAFailure) {
  EngineProcessOptions options;
  options.command = {"/nonexistent/bundle-server", {"bundle-server"}};
  options.on_change = [this] { notify(); };
  client_ = EngineProcess::start(std::move(options));
  ASSERT_TRUE(wait([&] { return client_->failure().has_value(); }));
  EXPECT_THAT(client_->failure()->message(), HasSubstr("/nonexistent/bundle-server"));
}

TEST_F(EngineProcessTest, AnIdleEngineSleeps) {
  start_ready();
  submit(request(1, 5));
  expect_whole(request(1, 5));
  const auto cpu_ticks = [pid = client_->pid()] {
    const std::string stat = *read_file("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string field;
    long ticks = 0;
    for (int i = 3; i <= 15 && fields >> field; ++i) {
      if (i >= 14) ticks += std::stol(field);
    }
    return ticks;
  };
  const long before = cpu_ticks();
  std::this_thread::sleep_for(300ms);
  EXPECT_LE(cpu_ticks() - before, 1);
}

TEST_F(EngineProcessTest, SignalsToTheGroupLeaveTheEngineAlone) {
  start_ready();
  kill_engine(SIGTERM);
  kill_engine(SIGINT);
  submit(request(1, 5));
  expect_whole(request(1, 5));
  EXPECT_EQ(client_->restarts(), 0);
}

TEST_F(EngineProcessTest, GoingAwayEndsTheEngineAndAllRequests) {
  start_ready();
  const auto pid = static_cast<pid_t>(client_->pid());
  submit(request(1, 60000));
  ASSERT_TRUE(wait_tokens(1, 1));
  client_.reset();
  EXPECT_EQ(outcome(1).finish, FinishReason::kAborted);
  EXPECT_NE(::kill(pid, 0), 0);
}

/// A supervisor in a process of its own prints its engine's id and waits to be killed.
[[noreturn]] void be_supervisor() {
  EngineProcessOptions options;
  options.command = *self_command(2);
  options.command.arguments.resize(1);
  const auto client = EngineProcess::start(std::move(options));
  while (!client->ready()) std::this_thread::sleep_for(1ms);
  std::printf("%lld\n", static_cast<long long>(client->pid()));
  std::fflush(stdout);
  for (;;) ::pause();
}

TEST_F(EngineProcessTest, AnEngineDoesNotOutliveItsSupervisor) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    ::dup2(ends[1], 1);
    ::execl("/proc/self/exe", "engine_process_test", "--supervisor", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  char text[32] = {};
  ASSERT_GT(::read(ends[0], text, sizeof(text) - 1), 0);
  ::close(ends[0]);
  const auto engine = static_cast<pid_t>(std::atoi(text));
  ASSERT_EQ(::kill(engine, 0), 0);
  ::kill(supervisor, SIGKILL);
  ASSERT_EQ(::waitpid(supervisor, nullptr, 0), supervisor);
  const auto gone = [engine] {
    // Nobody may be there to reap it: a zombie counts as gone.
    const auto stat = read_file("/proc/" + std::to_string(engine) + "/stat");
    return !stat || stat->find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 1000 && !gone(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(gone());
}

}  // namespace
}  // namespace bundle::launch

int main(int argc, char** argv) {
  using namespace bundle::launch;
  if (argc == 3 && std::string_view(argv[1]) == "--engine") {
    return run_engine_process(std::atoi(argv[2]), load);
  }
  if (argc == 2 && std::string_view(argv[1]) == "--supervisor") be_supervisor();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
