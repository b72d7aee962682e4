// Whatever happens around a request, it gets what it would have got alone: random arrivals, aborts
// and parameters, over caches so small that sequences are put out and prefixes evicted all the
// time. A failing case is repeated by its seed.
#include <gtest/gtest.h>
#include <map>
#include <random>

#include "runtime/engine/engine.h"
#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

using Random = std::mt19937;

FakeConfig random_model(Random& random) {
  FakeConfig fake;
  fake.vocab_size = 8 + random() % 60;
  fake.max_positions = 40 + random() % 60;
  fake.eos_ids.clear();
  for (auto n = random() % 3; n > 0; --n) fake.eos_ids.push_back(static_cast<int>(random() % 8));
  return fake;
}

EngineOptions random_options(Random& random) {
  EngineOptions options;
  options.block_tokens = 1 + random() % 8;
  options.kv_tokens = 16 + random() % 150;
  options.max_sequences = 1 + random() % 7;
  options.max_step_tokens = 1 + random() % 40;
  options.prefix_cache = random() % 4 != 0;
  return options;
}

/// Prompts come of few families, so that prefixes are shared.
Request random_request(Random& random, std::uint64_t id, const FakeConfig& fake,
                       std::int64_t context) {
  Request r;
  r.id = id;
  r.cache_salt = random() % 4 == 0;
  const std::size_t size = 1 + random() % static_cast<std::size_t>(context - 1);
  const auto family = static_cast<std::int32_t>(random() % 3);
  for (std::size_t i = 0; i < size; ++i) {
    r.prompt.push_back((family + static_cast<std::int32_t>(i)) % 5);
  }
  if (random() % 2) r.prompt.back() = static_cast<int>(random() % fake.vocab_size);
  SamplingParams& p = r.sampling;
  p.temperature = random() % 2 ? 0.0 : 0.9;
  p.seed = random();
  p.max_tokens = static_cast<int>(random() % 40);
  p.min_tokens = random() % 3 ? 0 : static_cast<int>(random() % 10);
  p.ignore_eos = random() % 3 == 0;
  p.top_k = random() % 3 ? 0 : 5;
  p.top_p = random() % 3 ? 1.0 : 0.8;
  p.repetition_penalty = random() % 3 ? 1.0 : 1.3;
  p.frequency_penalty = random() % 3 ? 0.0 : 0.5;
  if (random() % 4 == 0) p.logprobs = static_cast<int>(random() % 4);
  if (random() % 6 == 0) p.prompt_logprobs = static_cast<int>(random() % 3);
  if (random() % 4 == 0) p.stop_ids = {static_cast<int>(random() % fake.vocab_size)};
  if (random() % 5 == 0) p.logit_bias = {{static_cast<int>(random() % fake.vocab_size), 2.5f}};
  return r;
}

/// What a model may be beside the random rest.
struct Kind {
  std::int64_t groups = 1;
  bool chooses = false;
};

FakeConfig of_kind(FakeConfig fake, const Kind& kind) {
  fake.groups = kind.groups;
  fake.chooses = kind.chooses;
  return fake;
}

bool is_prefix(const std::vector<std::int32_t>& part, const std::vector<std::int32_t>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

class Crowd {
 public:
  explicit Crowd(std::uint32_t seed, const Kind& kind = {})
      : random_(seed),
        fake_(of_kind(random_model(random_), kind)),
        device_(make_fake_device()),
        engine_(*Engine::create(counting_model(), *device_, random_options(random_))),
        context_(engine_->stats().max_context) {}

  void run() {
    const std::size_t count = 1 + random_() % 25;
    for (int steps = 0; requests_.size() < count || !engine_->idle(); ++steps) {
      ASSERT_LT(steps, 20000) << "no progress";
      if (requests_.size() < count && random_() % 3 == 0) arrive();
      if (!requests_.empty() && random_() % 40 == 0) leave();
      step();
      if (testing::Test::HasFatalFailure()) return;
    }
    for (const auto& [id, request] : requests_) check(request);
    EXPECT_EQ(engine_->stats().kv_blocks_used, 0);
  }

  std::int64_t preemptions() const { return engine_->stats().preemptions; }
  std::int64_t prefix_hits() const { return engine_->stats().prefix_hits; }
  /// Rows whose tokens the model chose, and those that it gave the logits of.
  std::int64_t chosen_rows() const { return chosen_rows_; }
  std::int64_t logit_rows() const { return logit_rows_; }

 private:
  std::unique_ptr<model::Model> counting_model() {
    FakeConfig counted = fake_;
    counted.on_step = [this](std::span<const model::SequenceChunk> chunks) {
      for (const auto& chunk : chunks) {
        (chunk.choices.empty() ? logit_rows_ : chosen_rows_) += chunk.logits;
      }
    };
    return make_fake_model(counted);
  }

  void arrive() {
    const std::uint64_t id = requests_.size();
    requests_[id] = random_request(random_, id, fake_, context_);
    engine_->submit(requests_[id]);
  }

  void leave() {
    const std::uint64_t id = random_() % requests_.size();
    aborted_[id] = true;
    engine_->abort(id);
  }

  void step() {
    std::vector<Event> events;
    engine_->step(events);
    ASSERT_EQ(engine_->audit(), "");
    for (const Event& event : events) add_event(outcomes_[event.id], event);
  }

  void check(const Request& request) {
    const Outcome expected = run_alone(request, fake_, context_);
    const Outcome& got = outcomes_[request.id];
    SCOPED_TRACE(testing::Message() << "request " << request.id);
    if (aborted_[request.id] && got.finish == FinishReason::kAborted) {
      EXPECT_TRUE(is_prefix(got.tokens, expected.tokens));
      return;
    }
    EXPECT_EQ(got.tokens, expected.tokens);
    EXPECT_EQ(got.finish, expected.finish);
    EXPECT_EQ(got.stop_token, expected.stop_token);
    EXPECT_TRUE(got.logprobs == expected.logprobs);
    EXPECT_TRUE(got.prompt_logprobs == expected.prompt_logprobs);
  }

  std::int64_t chosen_rows_ = 0;
  std::int64_t logit_rows_ = 0;
  Random random_;
  FakeConfig fake_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<Engine> engine_;
  std::int64_t context_;
  std::map<std::uint64_t, Request> requests_;
  std::map<std::uint64_t, bool> aborted_;
  std::map<std::uint64_t, Outcome> outcomes_;
};

TEST(EngineProperty, ACrowdChangesNothing) {
  std::int64_t preemptions = 0;
  std::int64_t hits = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Crowd crowd(seed);
    crowd.run();
    preemptions += crowd.preemptions();
    hits += crowd.prefix_hits();
    if (testing::Test::HasFailure()) return;
  }
  // The cases are of use only while they put sequences out and share prefixes.
  EXPECT_GT(preemptions, 100);
  EXPECT_GT(hits, 1000);
}

/// The same where groups of ranks have caches of their own.
TEST(EngineProperty, ACrowdOverSeveralCachesChangesNothing) {
  std::int64_t preemptions = 0;
  std::int64_t hits = 0;
  for (std::uint32_t seed = 1000; seed < 1120; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Crowd crowd(seed, {.groups = 2 + seed % 3});
    crowd.run();
    preemptions += crowd.preemptions();
    hits += crowd.prefix_hits();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(preemptions, 10);
  EXPECT_GT(hits, 500);
}

/// The same where tokens come from the model, beside requests that need more than tokens.
TEST(EngineProperty, ACrowdWhoseModelChoosesChangesNothing) {
  std::int64_t chosen = 0;
  std::int64_t read = 0;
  for (std::uint32_t seed = 2000; seed < 2120; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Crowd crowd(seed, {.chooses = true});
    crowd.run();
    chosen += crowd.chosen_rows();
    read += crowd.logit_rows();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(chosen, 1000);
  EXPECT_GT(read, 1000);
}

}  // namespace
}  // namespace bundle::engine
