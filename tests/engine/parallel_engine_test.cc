// The engine over a model that several ranks share, threads here: a crowd of requests gets what one
// rank gives each of them.
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <thread>

#include "runtime/comm/shared_memory.h"
#include "runtime/engine/engine.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/model/leader.h"
#include "tests/engine/fake_model.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"

namespace bundle::engine {
namespace {

using model::Parallel;

format::Checkpoint open(const Path& folder) {
  return format::Checkpoint::open(format::ModelSource::open(folder).value()).value();
}

/// The first rank's engine, and the others' threads.
class Team {
 public:
  Team(const format::Checkpoint& checkpoint, const Parallel& parallel,
       const EngineOptions& options) {
    const Fd memory = comm::make_shared_memory(static_cast<int>(parallel.ranks())).value();
    for (int r = 0; r < parallel.ranks(); ++r) {
      Rank rank;
      rank.device = kernels::make_reference_device();
      rank.team =
          model::Team::make(comm::join_shared_memory(memory, r).value(), parallel, *rank.device)
              .value();
      rank.model = model::load_model(checkpoint, *rank.device, {},
                                     {.draft = options.speculation == Speculation::kModel,
                                      .team = rank.team.get()})
                       .value();
      ranks_.push_back(std::move(rank));
    }
    for (std::size_t r = 1; r < ranks_.size(); ++r) {
      threads_.emplace_back([&rank = ranks_[r]] {
        EXPECT_TRUE(model::follow(*rank.model, *rank.device, *rank.team));
      });
    }
    auto leader = model::lead(std::move(ranks_[0].model), *ranks_[0].team).value();
    engine_ = Engine::create(std::move(leader), *ranks_[0].device, options).value();
  }
  ~Team() {
    engine_.reset();
    for (std::thread& thread : threads_) thread.join();
  }

  Engine& engine() { return *engine_; }

 private:
  struct Rank {
    std::unique_ptr<kernels::Device> device;
    std::unique_ptr<model::Team> team;
    std::unique_ptr<model::Model> model;
  };

  std::vector<Rank> ranks_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Engine> engine_;
};

/// Prompts that share beginnings, more of them than run at once.
std::vector<Request> crowd(const golden::Golden& golden) {
  std::mt19937 random(11);
  std::vector<Request> requests;
  for (std::uint64_t id = 1; id <= 12; ++id) {
    const auto& tokens = golden.prompts[2 + id % 2].tokens;
    Request r;
    r.id = id;
    r.prompt.assign(tokens.begin(), tokens.begin() + 20 + static_cast<int>(random() % 20));
    if (id % 3 == 0) r.prompt.back() = static_cast<std::int32_t>(2 + random() % 500);
    r.sampling.temperature = 0.0;
    r.sampling.ignore_eos = true;
    r.sampling.max_tokens = 6 + static_cast<std::int32_t>(random() % 10);
    r.sampling.logprobs = 1;
    requests.push_back(std::move(r));
  }
  return requests;
}

std::map<std::uint64_t, Outcome> run(Engine& engine, const std::vector<Request>& requests) {
  std::map<std::uint64_t, Outcome> outcomes;
  std::size_t next = 0;
  for (int steps = 0; next < requests.size() || !engine.idle(); ++steps) {
    if (next < requests.size() && steps % 2 == 0) engine.submit(requests[next++]);
    std::vector<Event> events;
    engine.step(events);
    EXPECT_EQ(engine.audit(), "");
    EXPECT_TRUE(engine.health());
    for (const Event& event : events) add_event(outcomes[event.id], event);
    if (steps > 5000 || testing::Test::HasFailure()) break;
  }
  return outcomes;
}

/// Equal up to where the choice was a near-tie: the two likeliest then stand close together.
void expect_same(const Outcome& got, const Outcome& expected) {
  ASSERT_EQ(got.tokens.size(), expected.tokens.size());
  EXPECT_EQ(got.finish, expected.finish);
  for (std::size_t i = 0; i < got.tokens.size(); ++i) {
    if (got.tokens[i] == expected.tokens[i]) {
      EXPECT_NEAR(got.logprobs[i].chosen.logprob, expected.logprobs[i].chosen.logprob, 1e-3f);
      continue;
    }
    ASSERT_NEAR(got.logprobs[i].chosen.logprob, expected.logprobs[i].chosen.logprob, 1e-3f)
        << "token " << i;
    return;
  }
}

struct Case {
  const char* model;
  Parallel parallel;
  Speculation speculation = Speculation::kOff;
};

class ParallelEngineTest : public testing::TestWithParam<Case> {};

TEST_P(ParallelEngineTest, ACrowdGetsWhatOneRankGives) {
  const Case& c = GetParam();
  const golden::Golden golden =
      golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / c.model).value();
  const golden::TempFolder folder;
  golden::make_checkpoint(golden, folder.path()).value();
  const format::Checkpoint checkpoint = open(folder.path());
  EngineOptions options;
  options.kv_type = DType::kF32;
  options.kv_tokens = 160;  // a cache: sequences are put out now and then
  options.max_sequences = 6;
  options.max_step_tokens = 24;
  options.speculation = c.speculation;
  const std::vector<Request> requests = crowd(golden);

  const auto device = kernels::make_reference_device();
  auto alone = Engine::create(model::load_model(checkpoint, *device).value(), *device,
                              {.kv_tokens = 2048, .kv_type = DType::kF32})
                   .value();
  const auto expected = run(*alone, requests);
  Team team(checkpoint, c.parallel, options);
  auto got = run(team.engine(), requests);
  for (const Request& request : requests) {
    SCOPED_TRACE(request.id);
    expect_same(got[request.id], expected.at(request.id));
  }
  EXPECT_EQ(team.engine().stats().kv_blocks_used, 0);
  EXPECT_GT(team.engine().stats().prefix_hits, 0);
  // Whether a text repeats itself is another matter.
  if (c.speculation == Speculation::kModel) {
    EXPECT_GT(team.engine().stats().drafts, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, ParallelEngineTest,
                         testing::Values(Case{"mixtral", {2, 1, 2, 2}},
                                         Case{"qwen3_moe", {4, 1, 4, 4}},
                                         Case{"llama_tied", {2, 2, 1, 1}},
                                         Case{"deepseek_v3", {2, 1, 2, 2}},
                                         Case{"deepseek_v3_mtp", {2, 1, 2, 2}, Speculation::kModel},
                                         Case{"deepseek_v3_mtp", {1, 2, 1, 1}, Speculation::kModel},
                                         Case{"llama_tied", {2, 1, 1, 2}, Speculation::kLookup}),
                         [](const auto& test) {
                           const Parallel& p = test.param.parallel;
                           return std::string(test.param.model) + "_TP" + std::to_string(p.tensor) +
                                  "_PP" + std::to_string(p.pipeline) + "_EP" +
                                  std::to_string(p.expert) + "_DP" + std::to_string(p.data) + "_" +
                                  std::to_string(static_cast<int>(test.param.speculation));
                         });

/// Another rank that goes ends the engine, and no event comes of the step that failed.
TEST(ParallelEngine, StopsWhenARankIsGone) {
  const golden::Golden golden =
      golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden/llama_tied")).value();
  const golden::TempFolder folder;
  golden::make_checkpoint(golden, folder.path()).value();
  const format::Checkpoint checkpoint = open(folder.path());
  const Parallel parallel{2, 1, 1, 1};
  const Fd memory = comm::make_shared_memory(2).value();
  const auto load = [&](int rank, kernels::Device& device, std::unique_ptr<model::Team>& team) {
    team =
        model::Team::make(comm::join_shared_memory(memory, rank).value(), parallel, device).value();
    return model::load_model(checkpoint, device, {}, {.team = team.get()}).value();
  };
  std::thread other([&] {
    const auto device = kernels::make_reference_device();
    std::unique_ptr<model::Team> team;
    const auto model = load(1, *device, team);
    // Says that it is ready, hears of the cache and of one step, and goes.
    const char ready = 1;
    const auto bytes = std::as_bytes(std::span(&ready, 1));
    EXPECT_TRUE(team->world().send(bytes, 0));
    std::uint64_t size = 0;
    EXPECT_TRUE(team->world().broadcast(std::as_writable_bytes(std::span(&size, 1)), 0));
    std::vector<std::byte> message(size);
    EXPECT_TRUE(team->world().broadcast(message, 0));
    EXPECT_TRUE(team->world().send(bytes, 0));
  });
  std::unique_ptr<model::Team> team;
  const auto device = kernels::make_reference_device();
  auto model = load(0, *device, team);
  auto engine = Engine::create(model::lead(std::move(model), *team).value(), *device,
                               {.kv_tokens = 256, .kv_type = DType::kF32})
                    .value();
  other.join();
  Request r;
  r.id = 1;
  r.prompt = {5, 6, 7};
  engine->submit(r);
  std::vector<Event> events;
  EXPECT_TRUE(engine->step(events));
  EXPECT_TRUE(events.empty());
  ASSERT_FALSE(engine->health());
  EXPECT_NE(engine->health().error().message().find("rank 1 is gone"), std::string::npos);
}

}  // namespace
}  // namespace bundle::engine
