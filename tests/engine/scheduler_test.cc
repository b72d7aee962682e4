#include "runtime/engine/scheduler.h"

#include <deque>
#include <gtest/gtest.h>
#include <numeric>

namespace bundle::engine {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  /// A sequence that waits; its prompt is first, first + 1, …
  Sequence& arrive(std::int64_t size, std::int32_t first) {
    Sequence& sequence = sequences_.emplace_back();
    sequence.arrival = sequences_.size();
    sequence.tokens.resize(static_cast<std::size_t>(size));
    std::iota(sequence.tokens.begin(), sequence.tokens.end(), first);
    sequence.prompt_size = size;
    scheduler_.add(sequence);
    return sequence;
  }

  /// Takes one step and gives each sequence whose tokens are all computed an output.
  Batch step(std::int64_t tokens) { return step({tokens, tokens, tokens, tokens}); }
  Batch step(const StepBudget& budget) {
    const Batch batch = scheduler_.next(budget);
    scheduler_.commit(batch);
    for (const Chunk& chunk : batch) {
      if (chunk.sequence->remaining() == 0) chunk.sequence->tokens.push_back(1000);
    }
    return batch;
  }

  std::deque<Sequence> sequences_;
  BlockGroups blocks_{1, 16, 4, true};
  Scheduler scheduler_{blocks_, 3};
};

TEST_F(SchedulerTest, CutsAPromptByTheBudget) {
  Sequence& a = arrive(10, 0);
  Batch batch = step(4);
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].tokens, 4);
  EXPECT_EQ(batch[0].logits, 0);
  step(4);
  batch = step(4);
  EXPECT_EQ(batch[0].tokens, 2);
  EXPECT_EQ(batch[0].logits, 1);
  EXPECT_EQ(a.outputs(), 1);
}

TEST_F(SchedulerTest, DecodesComeBeforePrompts) {
  Sequence& a = arrive(2, 0);
  step(8);
  Sequence& b = arrive(20, 100);
  const Batch batch = step(8);
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].sequence, &a);
  EXPECT_EQ(batch[1].sequence, &b);
  EXPECT_EQ(batch[1].tokens, 7);
}

TEST_F(SchedulerTest, PromptsBesideStreamsHaveABudgetOfTheirOwn) {
  arrive(20, 0);
  EXPECT_EQ(step({16, 12, 4, 16})[0].tokens, 12);
  EXPECT_EQ(step({16, 12, 4, 16})[0].tokens, 8);
  arrive(20, 100);
  const Batch batch = step({16, 12, 4, 16});
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[1].tokens, 4);
}

TEST_F(SchedulerTest, ServesInTheOrderOfArrival) {
  Sequence& a = arrive(6, 0);
  Sequence& b = arrive(6, 100);
  Batch batch = step(8);
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].sequence, &a);
  EXPECT_EQ(batch[1].sequence, &b);
  EXPECT_EQ(batch[1].tokens, 2);
}

TEST_F(SchedulerTest, NobodyOvertakesOneThatDoesNotFitYet) {
  arrive(40, 0);
  step(64);
  Sequence& large = arrive(30, 100);
  Sequence& small = arrive(2, 200);
  step(64);
  EXPECT_FALSE(large.admitted);
  EXPECT_FALSE(small.admitted);
  scheduler_.remove(sequences_.front());
  step(64);
  EXPECT_TRUE(large.admitted);
  EXPECT_TRUE(small.admitted);
}

TEST_F(SchedulerTest, RunsNoMoreThanItMay) {
  for (int i = 0; i < 5; ++i) arrive(2, 100 * i);
  step(64);
  EXPECT_EQ(scheduler_.running(), 3);
  EXPECT_EQ(scheduler_.waiting(), 2);
}

TEST_F(SchedulerTest, TheLastToComeIsPutOutFirst) {
  Sequence& a = arrive(20, 0);
  Sequence& b = arrive(20, 100);
  Sequence& c = arrive(15, 200);
  while (scheduler_.preemptions() == 0) step(64);
  EXPECT_EQ(scheduler_.running(), 2);
  EXPECT_EQ(c.computed, 0);
  EXPECT_TRUE(c.table.blocks.empty());
  EXPECT_GT(a.outputs(), 0);
  EXPECT_GT(b.outputs(), 0);
  // What was put out comes back before later arrivals, with its outputs.
  Sequence& d = arrive(2, 300);
  const std::int64_t size = c.size();
  scheduler_.remove(a);
  step(64);
  EXPECT_EQ(c.size(), size + 1);
  EXPECT_TRUE(d.admitted);
}

TEST_F(SchedulerTest, WaitsForAPrefixThatIsBeingComputed) {
  arrive(18, 0);
  step(8);
  Sequence& b = arrive(18, 0);
  Sequence& c = arrive(4, 500);  // shares nothing and goes ahead
  step(8);
  EXPECT_FALSE(b.admitted);
  EXPECT_EQ(c.computed, 0);
  Batch batch = step(8);
  ASSERT_GE(batch.size(), 2u);
  EXPECT_TRUE(c.admitted);
  batch = step(8);
  EXPECT_TRUE(b.admitted);
  EXPECT_EQ(b.cached_tokens, 16);
}

TEST_F(SchedulerTest, DoesNotWaitForAPrefixOfAnotherSalt) {
  arrive(18, 0);
  Sequence& b = arrive(18, 0);
  b.table.salt = 7;
  step(40);
  EXPECT_TRUE(b.admitted);
}

TEST_F(SchedulerTest, PromptScoresBoundTheRowsOfAChunk) {
  Sequence& a = arrive(10, 0);
  a.request.sampling.prompt_logprobs = 0;
  const StepBudget budget{64, 64, 64, 4};
  Batch batch = scheduler_.next(budget);
  EXPECT_EQ(batch[0].tokens, 4);
  EXPECT_EQ(batch[0].logits, 4);
  scheduler_.commit(batch);
  a.scores.resize(4);
  batch = scheduler_.next(budget);
  scheduler_.commit(batch);
  a.scores.resize(8);
  batch = scheduler_.next(budget);
  EXPECT_EQ(batch[0].tokens, 2);
  EXPECT_EQ(batch[0].logits, 2);
}

TEST_F(SchedulerTest, RemovingFreesEverything) {
  for (int i = 0; i < 4; ++i) arrive(9, 100 * i);
  step(64);
  for (Sequence& sequence : sequences_) scheduler_.remove(sequence);
  EXPECT_EQ(blocks_.held(), 0);
  EXPECT_TRUE(scheduler_.next({64, 64, 64, 64}).empty());
}

}  // namespace
}  // namespace bundle::engine
