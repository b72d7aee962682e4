// Requests that are answered with their prompt's hidden states instead of output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

using testing::HasSubstr;

class PoolingTest : public testing::Test {
 protected:
  PoolingTest() : device_(make_fake_device()) {
    options_.kv_tokens = 256;
    options_.block_tokens = 4;
    fake_.eos_ids = {};
  }

  void create() { engine_ = *Engine::create(make_fake_model(fake_), *device_, options_); }

  static Request request(std::uint64_t id, std::vector<std::int32_t> prompt, Pooling pooling) {
    Request r;
    r.id = id;
    r.prompt = std::move(prompt);
    r.pooling = pooling;
    return r;
  }

  static std::vector<std::int32_t> prompt_of(std::int32_t size, std::int32_t salt = 1) {
    std::vector<std::int32_t> out;
    for (std::int32_t i = 0; i < size; ++i) out.push_back((i * i + salt * 7) % 48);
    return out;
  }

  /// What the request should be answered with, from scratch.
  std::vector<float> expected(const std::vector<std::int32_t>& prompt, Pooling pooling) const {
    const std::span all(prompt);
    if (pooling == Pooling::kLast) return fake_states(all, fake_.hidden_size);
    std::vector<double> sum(static_cast<std::size_t>(fake_.hidden_size));
    for (std::size_t n = 1; n <= prompt.size(); ++n) {
      const auto row = fake_states(all.first(n), fake_.hidden_size);
      for (std::size_t i = 0; i < row.size(); ++i) sum[i] += row[i];
    }
    std::vector<float> mean;
    for (const double x : sum) {
      mean.push_back(static_cast<float>(x / static_cast<double>(prompt.size())));
    }
    return mean;
  }

  void finish() {
    for (int i = 0; !engine_->idle(); ++i) {
      ASSERT_LT(i, 10000) << "no progress";
      std::vector<Event> events;
      engine_->step(events);
      for (Event& event : events) {
        if (event.finish != FinishReason::kNone) last_[event.id] = std::move(event);
      }
      EXPECT_EQ(engine_->audit(), "");
    }
  }

  const Event& run(const Request& r) {
    if (!engine_) create();
    last_.erase(r.id);
    engine_->submit(r);
    finish();
    return last_[r.id];
  }

  FakeConfig fake_;
  EngineOptions options_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<Engine> engine_;
  std::map<std::uint64_t, Event> last_;
};

TEST_F(PoolingTest, GivesTheLastStateOrTheMean) {
  for (const Pooling pooling : {Pooling::kLast, Pooling::kMean}) {
    for (const std::int32_t size : {1, 2, 4, 33}) {
      const Event& event = run(request(1, prompt_of(size), pooling));
      EXPECT_EQ(event.finish, FinishReason::kStop) << event.error;
      EXPECT_TRUE(event.tokens.empty());
      EXPECT_EQ(event.embedding, expected(prompt_of(size), pooling)) << size;
    }
  }
  EXPECT_EQ(engine_->stats().generated_tokens, 0);
  EXPECT_EQ(engine_->stats().kv_blocks_used, 0);
}

TEST_F(PoolingTest, DoesNotDependOnHowAPromptIsCutOrOnNeighbours) {
  options_.max_step_tokens = 7;
  options_.max_sequences = 4;
  options_.kv_tokens = 160;  // too few for all: some are put out and begin anew
  options_.speculation = Speculation::kLookup;
  create();
  for (std::uint64_t id = 1; id <= 12; ++id) {
    const auto size = static_cast<std::int32_t>(3 * id + 1);
    const auto salt = static_cast<std::int32_t>(id % 3);
    Request r = request(id, prompt_of(size, salt), static_cast<Pooling>(id % 3));
    r.sampling.max_tokens = 40;
    r.sampling.temperature = 0;
    engine_->submit(r);
  }
  finish();
  for (std::uint64_t id = 1; id <= 12; ++id) {
    const auto pooling = static_cast<Pooling>(id % 3);
    if (pooling == Pooling::kNone) {
      EXPECT_EQ(last_[id].finish, FinishReason::kLength);
      continue;
    }
    const auto prompt =
        prompt_of(static_cast<std::int32_t>(3 * id + 1), static_cast<std::int32_t>(id % 3));
    EXPECT_EQ(last_[id].embedding, expected(prompt, pooling)) << id;
  }
}

TEST_F(PoolingTest, LastStatesUseThePrefixCacheAndMeansDoNot) {
  run(request(1, prompt_of(32), Pooling::kLast));
  const Event again = run(request(2, prompt_of(32), Pooling::kLast));
  EXPECT_GT(again.cached_tokens, 0);
  EXPECT_EQ(again.embedding, expected(prompt_of(32), Pooling::kLast));
  const Event mean = run(request(3, prompt_of(32), Pooling::kMean));
  EXPECT_EQ(mean.cached_tokens, 0);
  EXPECT_EQ(mean.embedding, expected(prompt_of(32), Pooling::kMean));
}

TEST_F(PoolingTest, APromptMayFillTheContext) {
  fake_.max_positions = 64;
  EXPECT_EQ(run(request(1, prompt_of(64), Pooling::kLast)).finish, FinishReason::kStop);
  EXPECT_EQ(run(request(2, prompt_of(65), Pooling::kLast)).finish, FinishReason::kError);
}

TEST_F(PoolingTest, WhatIsNoNumberIsAnError) {
  fake_.poison = 40;
  const Event& event = run(request(1, {3, 40}, Pooling::kMean));
  EXPECT_EQ(event.finish, FinishReason::kError);
  EXPECT_THAT(event.error, HasSubstr("not numbers"));
}

TEST_F(PoolingTest, AModelWithoutStatesSaysSo) {
  fake_.hidden_size = 0;
  const Event& event = run(request(1, {3}, Pooling::kLast));
  EXPECT_EQ(event.finish, FinishReason::kError);
  EXPECT_THAT(event.error, HasSubstr("no hidden states"));
}

}  // namespace
}  // namespace bundle::engine
