#include "runtime/launch/flights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::launch {
namespace {

using engine::Event;
using engine::FinishReason;
using testing::ElementsAre;
using testing::IsEmpty;

class FlightsTest : public testing::Test {
 protected:
  void add(std::uint64_t id) {
    engine::Request request;
    request.id = id;
    request.prompt = {1, 2, 3};
    flights_.add(std::move(request), [this](const Event& event) { events_.push_back(event); });
  }

  void deliver(std::uint64_t id, FinishReason finish) {
    Event event;
    event.id = id;
    event.tokens = {5};
    event.finish = finish;
    flights_.deliver(std::move(event));
  }

  std::vector<std::uint64_t> start() {
    std::vector<std::uint64_t> ids;
    for (const engine::Request* request : flights_.start_waiting()) {
      EXPECT_EQ(request->prompt.size(), 3u);
      ids.push_back(request->id);
    }
    return ids;
  }

  Flights flights_;
  std::vector<Event> events_;
};

TEST_F(FlightsTest, StartInTheOrderTheyCame) {
  add(9);
  add(3);
  EXPECT_THAT(start(), ElementsAre(9, 3));
  add(5);
  EXPECT_THAT(start(), ElementsAre(5));
  EXPECT_EQ(flights_.started(), 3u);
}

TEST_F(FlightsTest, ASecondOfOneIdIsRefused) {
  add(1);
  add(1);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].finish, FinishReason::kError);
  EXPECT_EQ(flights_.size(), 1u);
}

TEST_F(FlightsTest, EndWithTheirLastEvent) {
  add(1);
  start();
  deliver(1, FinishReason::kNone);
  deliver(1, FinishReason::kStop);
  deliver(1, FinishReason::kStop);  // nobody listens any more
  EXPECT_EQ(events_.size(), 2u);
  EXPECT_EQ(flights_.size(), 0u);
  EXPECT_EQ(flights_.started(), 0u);
}

TEST_F(FlightsTest, AfterADeathTheyGoOnBehindWhatWasHeard) {
  add(1);
  add(2);
  start();
  add(3);  // had not been sent
  deliver(1, FinishReason::kNone);
  flights_.engine_died("was killed");
  EXPECT_EQ(events_.size(), 1u);
  const auto waiting = flights_.start_waiting();
  ASSERT_EQ(waiting.size(), 3u);
  EXPECT_EQ(waiting[0]->id, 1u);
  EXPECT_THAT(waiting[0]->prompt, ElementsAre(1, 2, 3, 5));
  EXPECT_EQ(waiting[0]->resumed, 1);
  EXPECT_EQ(waiting[1]->resumed, 0);
  EXPECT_EQ(waiting[2]->id, 3u);
}

TEST_F(FlightsTest, EveryRequestHasASeedThatStays) {
  add(1);
  const auto seed = flights_.start_waiting()[0]->sampling.seed;
  ASSERT_TRUE(seed);
  flights_.engine_died("was killed");
  EXPECT_EQ(flights_.start_waiting()[0]->sampling.seed, seed);
}

TEST_F(FlightsTest, ARequestThatKillsEnginesIsGivenUp) {
  add(1);
  for (int i = 1; i < Flights::kMostStarts; ++i) {
    EXPECT_THAT(start(), ElementsAre(1));
    flights_.engine_died("was killed");
    EXPECT_THAT(events_, IsEmpty());
  }
  start();
  flights_.engine_died("was killed");
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].finish, FinishReason::kError);
}

TEST_F(FlightsTest, AbortsAreSentOnlyWhereAnEngineHasTheRequest) {
  add(1);
  EXPECT_FALSE(flights_.abort(1));
  EXPECT_EQ(events_.back().finish, FinishReason::kAborted);
  EXPECT_FALSE(flights_.abort(1));
  add(2);
  start();
  EXPECT_TRUE(flights_.abort(2));
  EXPECT_EQ(events_.size(), 1u);
  flights_.engine_died("was killed");
  EXPECT_EQ(events_.back().finish, FinishReason::kAborted);
}

TEST_F(FlightsTest, EndAllTellsEverybody) {
  add(1);
  start();
  add(2);
  flights_.end_all(FinishReason::kError, "over");
  EXPECT_EQ(events_.size(), 2u);
  EXPECT_EQ(flights_.size() + flights_.started(), 0u);
}

}  // namespace
}  // namespace bundle::launch
