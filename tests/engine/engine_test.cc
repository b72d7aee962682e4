#include "runtime/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class EngineTest : public testing::Test {
 protected:
  EngineTest() : device_(make_fake_device()) {
    options_.kv_tokens = 256;
    options_.block_tokens = 4;
    fake_.eos_ids = {};
  }

  void create() {
    engine_ = *Engine::create(make_fake_model(fake_), *device_, options_);
    context_ = engine_->stats().max_context;
  }

  static Request request(std::uint64_t id, std::vector<std::int32_t> prompt,
                         std::int32_t max_tokens) {
    Request r;
    r.id = id;
    r.prompt = std::move(prompt);
    r.sampling.temperature = 0.0;
    r.sampling.max_tokens = max_tokens;
    return r;
  }

  bool step() {
    std::vector<Event> events;
    const bool worked = engine_->step(events);
    for (Event& event : events) {
      add_event(outcomes_[event.id], event);
      events_.push_back(std::move(event));
    }
    EXPECT_EQ(engine_->audit(), "");
    return worked;
  }

  void finish() {
    for (int i = 0; !engine_->idle(); ++i) {
      ASSERT_LT(i, 10000) << "no progress";
      step();
    }
  }

  const Outcome& run(const Request& r) {
    if (!engine_) create();
    outcomes_.erase(r.id);
    engine_->submit(r);
    finish();
    return outcomes_[r.id];
  }

  void expect_as_alone(const Request& r) {
    const Outcome expected = run_alone(r, fake_, context_);
    const Outcome& got = outcomes_[r.id];
    EXPECT_EQ(got.tokens, expected.tokens);
    EXPECT_EQ(got.finish, expected.finish);
    EXPECT_EQ(got.stop_token, expected.stop_token);
    EXPECT_TRUE(got.logprobs == expected.logprobs);
    EXPECT_TRUE(got.prompt_logprobs == expected.prompt_logprobs);
  }

  FakeConfig fake_;
  EngineOptions options_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<Engine> engine_;
  std::int64_t context_ = 0;
  std::map<std::uint64_t, Outcome> outcomes_;
  std::vector<Event> events_;
};

TEST_F(EngineTest, GeneratesWhatTheModelSays) {
  const Request r = request(1, {5, 6, 7}, 20);
  EXPECT_EQ(run(r).tokens.size(), 20u);
  expect_as_alone(r);
  EXPECT_EQ(engine_->stats().kv_blocks_used, 0);
  EXPECT_EQ(engine_->stats().prompt_tokens, 3);
  EXPECT_EQ(engine_->stats().generated_tokens, 20);
}

TEST_F(EngineTest, EndTokensStopAndAreNotReported) {
  Request r = request(1, {5, 6, 7}, 40);
  const auto free_run = run(r).tokens;
  const std::int32_t end = free_run[10];
  const auto first = std::find(free_run.begin(), free_run.end(), end) - free_run.begin();
  r.sampling.stop_ids = {end};
  const Outcome& stopped = run(r);
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.stop_token, end);
  EXPECT_EQ(static_cast<std::ptrdiff_t>(stopped.tokens.size()), first);
  expect_as_alone(r);
  r.sampling.min_tokens = static_cast<std::int32_t>(first) + 1;
  EXPECT_GT(static_cast<std::ptrdiff_t>(run(r).tokens.size()), first);
  expect_as_alone(r);
}

TEST_F(EngineTest, IgnoresTheModelsEndWhenAsked) {
  fake_.eos_ids = {1, 2, 3, 4, 5, 6, 7, 8};
  Request r = request(1, {9}, 60);
  EXPECT_EQ(run(r).finish, FinishReason::kStop);
  expect_as_alone(r);
  r.sampling.ignore_eos = true;
  EXPECT_EQ(run(r).finish, FinishReason::kLength);
  EXPECT_EQ(outcomes_[1].tokens.size(), 60u);
}

TEST_F(EngineTest, StopIdsOutsideTheVocabularyAreHarmless) {
  Request r = request(1, {9}, 5);
  r.sampling.stop_ids = {-1, 1 << 30};
  r.sampling.min_tokens = 3;
  EXPECT_EQ(run(r).tokens.size(), 5u);
}

TEST_F(EngineTest, ReportsLogprobsOfPromptAndOutput) {
  options_.max_step_tokens = 3;  // the prompt is scored over several steps
  options_.max_sequences = 2;
  Request r = request(1, {5, 6, 7, 8, 9, 10, 11, 12, 13}, 4);
  r.sampling.logprobs = 3;
  r.sampling.prompt_logprobs = 2;
  run(r);
  EXPECT_EQ(outcomes_[1].prompt_logprobs.size(), 8u);
  EXPECT_EQ(outcomes_[1].prompt_logprobs[0].top.size(), 2u);
  EXPECT_EQ(outcomes_[1].logprobs.size(), 4u);
  expect_as_alone(r);
  // Again, with the prompt in the prefix cache: scores are still all there.
  run(r);
  expect_as_alone(r);
}

TEST_F(EngineTest, NoTokensAskedForScoresThePromptOnly) {
  Request r = request(1, {5, 6, 7}, 0);
  r.sampling.prompt_logprobs = 1;
  EXPECT_EQ(run(r).finish, FinishReason::kLength);
  EXPECT_THAT(outcomes_[1].tokens, IsEmpty());
  EXPECT_EQ(outcomes_[1].prompt_logprobs.size(), 2u);
}

TEST_F(EngineTest, APromptOfOneTokenHasNoScores) {
  Request r = request(1, {5}, 2);
  r.sampling.prompt_logprobs = 1;
  EXPECT_THAT(run(r).prompt_logprobs, IsEmpty());
  EXPECT_EQ(outcomes_[1].tokens.size(), 2u);
}

TEST_F(EngineTest, TellsWhatThePrefixCacheGave) {
  create();
  run(request(1, {1, 2, 3, 4, 5, 6, 7, 8, 9}, 1));
  EXPECT_EQ(events_.back().cached_tokens, 0);
  run(request(2, {1, 2, 3, 4, 5, 6, 7, 8, 10, 11}, 1));
  EXPECT_EQ(events_.back().cached_tokens, 8);
  EXPECT_EQ(engine_->stats().prefix_hits, 8);
  EXPECT_EQ(engine_->stats().prefix_queries, 19);
  Request salted = request(3, {1, 2, 3, 4, 5, 6, 7, 8, 10, 11}, 1);
  salted.cache_salt = 1;
  run(salted);
  EXPECT_EQ(events_.back().cached_tokens, 0);
}

TEST_F(EngineTest, APreviewTellsTheSameAndRunsNothing) {
  std::vector<std::int32_t> prompt(20, 3);
  run(request(1, prompt, 2));
  const std::int64_t steps = engine_->stats().steps;
  events_.clear();
  Request asked = request(2, prompt, 2);
  asked.preview = true;
  run(asked);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].finish, FinishReason::kLength);
  EXPECT_EQ(engine_->stats().steps, steps);
  const std::int32_t foreseen = events_[0].cached_tokens;
  EXPECT_GT(foreseen, 0);
  events_.clear();
  run(request(3, prompt, 2));
  EXPECT_EQ(events_[0].cached_tokens, foreseen);
}

TEST_F(EngineTest, PriorityThenTurnThenArrivalDecideWhoGoesFirst) {
  options_.max_sequences = 1;
  create();
  const auto submit = [&](std::uint64_t id, std::int32_t priority, std::uint64_t turn) {
    Request r = request(id, {static_cast<std::int32_t>(id)}, 2);
    r.priority = priority;
    r.turn = turn;
    engine_->submit(r);
  };
  submit(1, 0, 0);
  step();
  submit(2, 1, 0);
  submit(3, 0, 9);
  submit(4, 0, 5);
  submit(5, 0, 5);
  submit(6, -1, 99);
  finish();
  std::vector<std::uint64_t> order;
  for (const Event& event : events_) {
    if (event.finish != FinishReason::kNone) order.push_back(event.id);
  }
  EXPECT_THAT(order, testing::ElementsAre(1, 6, 4, 5, 3, 2));
}

TEST_F(EngineTest, OutputsAreReusedInTheNextTurn) {
  create();
  std::vector<std::int32_t> turn = {1, 2, 3};
  const auto answer = run(request(1, turn, 10)).tokens;
  turn.insert(turn.end(), answer.begin(), answer.end());
  turn.push_back(4);
  const Request next = request(2, turn, 5);
  run(next);
  // The answer's last token was never computed.
  EXPECT_EQ(events_[events_.size() - 5].cached_tokens, 12);
  expect_as_alone(next);
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  create();
  const auto refusal = [this](const Request& r) {
    run(r);
    EXPECT_EQ(events_.back().finish, FinishReason::kError);
    return events_.back().error;
  };
  EXPECT_THAT(refusal(request(1, {}, 5)), HasSubstr("empty"));
  EXPECT_THAT(refusal(request(2, std::vector<std::int32_t>(256, 1), 5)), HasSubstr("256 tokens"));
  EXPECT_THAT(refusal(request(3, {1, 48}, 5)), HasSubstr("token 48"));
  EXPECT_THAT(refusal(request(4, {-1}, 5)), HasSubstr("token -1"));
  Request bad = request(5, {1}, 5);
  bad.sampling.top_p = 2.0;
  EXPECT_THAT(refusal(bad), HasSubstr("top_p"));
  EXPECT_EQ(engine_->stats().steps, 0);
}

TEST_F(EngineTest, AnIdInFlightIsRefused) {
  create();
  engine_->submit(request(1, {1}, 5));
  engine_->submit(request(1, {2}, 5));
  std::vector<Event> events;
  engine_->step(events);
  EXPECT_THAT(events.at(0).error, HasSubstr("in flight"));
}

TEST_F(EngineTest, TheLongestPromptAndOutputFit) {
  create();
  Request r = request(1, std::vector<std::int32_t>(255, 3), 5);
  EXPECT_EQ(run(r).tokens.size(), 1u);
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kLength);
  r = request(2, std::vector<std::int32_t>(200, 3), 1000);
  EXPECT_EQ(run(r).tokens.size(), 56u);
  expect_as_alone(r);
  r = request(3, std::vector<std::int32_t>(256, 3), 0);
  EXPECT_EQ(run(r).finish, FinishReason::kLength);
}

TEST_F(EngineTest, AbortFreesAtOnce) {
  create();
  engine_->submit(request(1, {1, 2, 3, 4, 5}, 100));
  engine_->submit(request(2, {6, 7}, 3));
  step();
  EXPECT_GT(engine_->stats().kv_blocks_used, 0);
  engine_->abort(1);
  engine_->abort(1);
  engine_->abort(77);
  EXPECT_EQ(engine_->stats().running, 1);
  step();
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kAborted);
  finish();
  EXPECT_EQ(outcomes_[2].finish, FinishReason::kLength);
  EXPECT_FALSE(step());
}

TEST_F(EngineTest, AbortBeforeTheFirstStep) {
  create();
  engine_->submit(request(1, {1, 2}, 5));
  engine_->abort(1);
  EXPECT_FALSE(engine_->idle());
  EXPECT_TRUE(step());
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kAborted);
  EXPECT_TRUE(engine_->idle());
}

TEST_F(EngineTest, LogitsThatAreNoNumbersEndOneRequestOnly) {
  fake_.poison = 40;
  create();
  engine_->submit(request(1, {1, 40}, 5));
  engine_->submit(request(2, {1, 2}, 5));
  Request scored = request(3, {1, 40, 2, 3}, 5);
  scored.sampling.prompt_logprobs = 0;
  engine_->submit(scored);
  finish();
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kError);
  EXPECT_EQ(outcomes_[3].finish, FinishReason::kError);
  EXPECT_EQ(outcomes_[2].finish, FinishReason::kLength);
  EXPECT_EQ(engine_->stats().kv_blocks_used, 0);
}

TEST_F(EngineTest, ChosenTokensOfNoNumbersEndOneRequestOnly) {
  fake_.poison = 40;
  fake_.chooses = true;
  create();
  engine_->submit(request(1, {1, 40}, 5));
  engine_->submit(request(2, {1, 2}, 5));
  finish();
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kError);
  EXPECT_EQ(outcomes_[2].finish, FinishReason::kLength);
  EXPECT_THAT(events_, testing::Contains(testing::Field(&Event::error, HasSubstr("not finite"))));
  expect_as_alone(request(2, {1, 2}, 5));
}

TEST_F(EngineTest, OnlyRowsThatAreReadComeAsLogits) {
  fake_.chooses = true;
  std::map<std::int32_t, bool> chosen;  // by the prompt's first token
  fake_.on_step = [&](std::span<const model::SequenceChunk> chunks) {
    for (const auto& chunk : chunks) {
      if (chunk.position == 0) chosen[chunk.tokens.front()] = !chunk.choices.empty();
    }
  };
  create();
  const auto submit = [&](std::int32_t first, auto change) {
    Request r = request(static_cast<std::uint64_t>(first), {first, 2}, 3);
    r.sampling.temperature = 0.8;
    change(r);
    engine_->submit(r);
  };
  submit(1, [](Request&) {});
  submit(2, [](Request& r) { r.sampling.top_p = 0.9; });
  submit(3, [](Request& r) { r.sampling.logprobs = 0; });
  submit(4, [](Request& r) { r.sampling.prompt_logprobs = 0; });
  submit(5, [](Request& r) { r.sampling.repetition_penalty = 1.1; });
  submit(6, [](Request& r) { r.sampling.logit_bias = {{1, 1.0f}}; });
  submit(7, [](Request& r) {
    r.sampling.min_tokens = 2;
    r.sampling.stop_ids = {3};
  });
  submit(8, [](Request& r) { r.pooling = Pooling::kLast; });
  finish();
  const std::map<std::int32_t, bool> expected = {{1, true},  {2, true},  {3, false}, {4, false},
                                                 {5, false}, {6, false}, {7, false}, {8, false}};
  EXPECT_EQ(chosen, expected);
}

TEST_F(EngineTest, PreemptedRequestsGoOnAsIfNothingHadBeen) {
  options_.kv_tokens = 64;
  create();
  std::vector<Request> requests;
  for (std::uint64_t id = 0; id < 6; ++id) {
    requests.push_back(request(id, std::vector<std::int32_t>(10, static_cast<int>(id)), 40));
    requests.back().sampling.temperature = 1.0;
    requests.back().sampling.seed = id;
    engine_->submit(requests.back());
  }
  finish();
  EXPECT_GT(engine_->stats().preemptions, 0);
  for (const Request& r : requests) expect_as_alone(r);
}

TEST_F(EngineTest, EqualPromptsAreComputedOnce) {
  std::int64_t computed = 0;
  fake_.on_step = [&](auto chunks) {
    for (const auto& chunk : chunks) computed += static_cast<std::int64_t>(chunk.tokens.size());
  };
  create();
  for (std::uint64_t id = 0; id < 8; ++id) {
    Request r = request(id, std::vector<std::int32_t>(101, 9), 1);
    r.sampling.temperature = 1.0;
    engine_->submit(r);
  }
  finish();
  EXPECT_EQ(computed, 101 + 7);
}

TEST_F(EngineTest, ALongPromptDoesNotStallARunningStream) {
  std::size_t largest = 0;
  fake_.on_step = [&](auto chunks) {
    if (chunks.size() < 2) return;
    for (const auto& chunk : chunks) largest = std::max(largest, chunk.tokens.size());
  };
  fake_.max_positions = 4096;
  options_.kv_tokens = 4096;
  create();
  engine_->submit(request(1, {1}, 60));
  step();
  engine_->submit(request(2, std::vector<std::int32_t>(3000, 2), 1));
  const std::size_t before = outcomes_[1].tokens.size();
  step();
  EXPECT_EQ(outcomes_[1].tokens.size(), before + 1);
  EXPECT_GT(largest, 1u);
  EXPECT_LE(largest, 512u);
  finish();
}

TEST_F(EngineTest, RequestsWithoutSeedDiffer) {
  create();
  for (std::uint64_t id = 0; id < 2; ++id) {
    Request r = request(id, {1, 2, 3}, 30);
    r.sampling.temperature = 1.0;
    engine_->submit(r);
  }
  finish();
  EXPECT_NE(outcomes_[0].tokens, outcomes_[1].tokens);
}

TEST_F(EngineTest, AnEngineSeedRepeatsARun) {
  options_.seed = 12;
  std::vector<std::vector<std::int32_t>> runs;
  for (int i = 0; i < 2; ++i) {
    create();
    Request r = request(1, {1, 2, 3}, 30);
    r.sampling.temperature = 1.0;
    runs.push_back(run(r).tokens);
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST_F(EngineTest, OptionsThatContradictTheModelAreRefused) {
  options_.max_context = 257;
  EXPECT_FALSE(Engine::create(make_fake_model(fake_), *device_, options_));
}

}  // namespace
}  // namespace bundle::engine
