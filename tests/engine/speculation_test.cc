// Guessed tokens change how many steps an output takes, and nothing else.
#include <gtest/gtest.h>
#include <map>
#include <random>

#include "runtime/engine/prompt_lookup.h"
#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

using Tokens = std::vector<std::int32_t>;

TEST(PromptLookup, GivesWhatFollowedTheLongestRepetition) {
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 9, 8, 7, 1, 2, 3, 4}, 2), (Tokens{9, 8}));
  EXPECT_EQ(look_up(Tokens{5, 6, 1, 5, 6, 2, 5, 6}, 3), (Tokens{2, 5, 6}));  // the last one counts
  EXPECT_EQ(look_up(Tokens{3, 4, 7, 3, 4}, 9), (Tokens{7, 3, 4}));  // no further than it goes
}

TEST(PromptLookup, GuessesNothingWithoutRepetition) {
  EXPECT_EQ(look_up(Tokens{1, 2, 3, 4, 5}, 4), Tokens{});
  EXPECT_EQ(look_up(Tokens{1, 2, 1}, 4), Tokens{});  // one token is no repetition
  EXPECT_EQ(look_up(Tokens{}, 4), Tokens{});
  EXPECT_EQ(look_up(Tokens{7, 7, 7, 7, 7}, 0), Tokens{});
}

TEST(PromptLookup, RunsRepeatThemselves) {
  EXPECT_EQ(look_up(Tokens{7, 7, 7, 7, 7}, 4), Tokens{7});
}

class SpeculationTest : public testing::TestWithParam<Speculation> {
 protected:
  SpeculationTest() {
    options_.block_tokens = 4;
    options_.kv_tokens = 160;
    options_.speculation = GetParam();
    fake_.vocab_size = 5;  // so few that texts repeat themselves
    fake_.eos_ids = {};
  }

  Request random_request(std::uint64_t id, std::mt19937& random) const {
    Request r;
    r.id = id;
    for (std::size_t i = 0; i < 1 + random() % 30; ++i)
      r.prompt.push_back(static_cast<std::int32_t>(random() % 5));
    r.sampling.temperature = random() % 2 == 0 ? 0.0 : 0.7;
    r.sampling.seed = random();
    r.sampling.max_tokens = 1 + static_cast<std::int32_t>(random() % 40);
    if (random() % 3 == 0) r.sampling.frequency_penalty = 0.3;
    if (random() % 3 == 0) r.sampling.logprobs = 2;
    if (random() % 4 == 0) r.sampling.stop_ids = {4};
    if (random() % 4 == 0) r.sampling.min_tokens = 5;
    if (random() % 5 == 0) r.sampling.prompt_logprobs = 1;
    return r;
  }

  void expect_outputs_as_alone();

  FakeConfig fake_;
  EngineOptions options_;
  std::unique_ptr<kernels::Device> device_ = make_fake_device();
};

void SpeculationTest::expect_outputs_as_alone() {
  const auto engine = Engine::create(make_fake_model(fake_), *device_, options_).value();
  std::mt19937 random(3);
  std::vector<Request> requests;
  std::map<std::uint64_t, Outcome> outcomes;
  for (std::uint64_t id = 1; id <= 60; ++id) {
    requests.push_back(random_request(id, random));
    engine->submit(requests.back());
    for (int steps = 0; steps < 3; ++steps) {
      std::vector<Event> events;
      engine->step(events);
      ASSERT_EQ(engine->audit(), "");
      for (const Event& event : events) add_event(outcomes[event.id], event);
    }
  }
  for (int i = 0; !engine->idle(); ++i) {
    ASSERT_LT(i, 10000);
    std::vector<Event> events;
    engine->step(events);
    ASSERT_EQ(engine->audit(), "");
    for (const Event& event : events) add_event(outcomes[event.id], event);
  }
  const std::int64_t context = engine->stats().max_context;
  for (const Request& request : requests) {
    const Outcome alone = run_alone(request, fake_, context);
    const Outcome& got = outcomes[request.id];
    EXPECT_EQ(got.tokens, alone.tokens) << request.id;
    EXPECT_EQ(got.finish, alone.finish) << request.id;
    EXPECT_TRUE(got.logprobs == alone.logprobs) << request.id;
    EXPECT_TRUE(got.prompt_logprobs == alone.prompt_logprobs) << request.id;
  }
  const EngineStats stats = engine->stats();
  EXPECT_GT(stats.accepted_tokens, 0);
  EXPECT_GT(stats.draft_tokens, stats.accepted_tokens);
  EXPECT_LE(stats.drafts, stats.draft_tokens);
  EXPECT_EQ(stats.kv_blocks_used, 0);
}

TEST_P(SpeculationTest, OutputsAreThoseOfEachRequestAlone) { expect_outputs_as_alone(); }

TEST_P(SpeculationTest, SoAreThoseThatTheModelChooses) {
  fake_.chooses = true;
  int checked = 0;  // chosen rows behind guesses
  fake_.on_step = [&](std::span<const model::SequenceChunk> chunks) {
    for (const auto& chunk : chunks) checked += chunk.choices.size() > 1;
  };
  expect_outputs_as_alone();
  EXPECT_GT(checked, 10);
}

TEST_P(SpeculationTest, RightGuessesSaveSteps) {
  fake_.wrong_drafts = 0;
  Request r;
  r.id = 1;
  r.prompt = {1, 2, 3};
  r.sampling.temperature = 0.0;
  r.sampling.max_tokens = 100;
  const auto steps = [&](Speculation speculation) {
    options_.speculation = speculation;
    const auto engine = Engine::create(make_fake_model(fake_), *device_, options_).value();
    engine->submit(r);
    std::vector<Event> events;
    while (!engine->idle()) engine->step(events);
    EXPECT_EQ(engine->stats().generated_tokens, 100);
    return engine->stats().steps;
  };
  const std::int64_t plain = steps(Speculation::kOff);
  EXPECT_EQ(plain, 100);
  EXPECT_LT(steps(GetParam()), GetParam() == Speculation::kModel ? 52 : 100);
}

INSTANTIATE_TEST_SUITE_P(All, SpeculationTest,
                         testing::Values(Speculation::kLookup, Speculation::kModel),
                         [](const auto& test) {
                           return test.param == Speculation::kModel ? "Model" : "Lookup";
                         });

}  // namespace
}  // namespace bundle::engine
