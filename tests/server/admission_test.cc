#include "runtime/server/admission.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace bundle::server {
namespace {

std::shared_ptr<Client> client(const std::string& secret, double weight = 1) {
  ApiKey key = plain_key(secret);
  key.weight = weight;
  return std::make_shared<Client>(key);
}

/// Serves the earliest of a queue of two keys that both always have work; tokens of each.
std::map<Client*, double> serve(FairClock& clock, const std::vector<std::shared_ptr<Client>>& keys,
                                const std::vector<double>& costs, int count) {
  std::map<std::pair<std::uint64_t, std::size_t>, std::pair<Client*, double>> queue;
  std::map<Client*, double> served;
  std::size_t arrival = 0;
  const auto arrive = [&](std::size_t i) {
    queue[{clock.start(*keys[i], costs[i]), arrival++}] = {keys[i].get(), costs[i]};
  };
  for (std::size_t i = 0; i < keys.size(); ++i) arrive(i);
  for (int n = 0; n < count; ++n) {
    const auto [place, work] = *queue.begin();
    queue.erase(queue.begin());
    clock.serves(place.first);
    served[work.first] += work.second;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].get() == work.first) arrive(i);
    }
  }
  return served;
}

TEST(FairClock, SharesByWeightWhateverTheSizes) {
  FairClock clock;
  const auto small = client("small");
  const auto large = client("large", 3);
  const auto served = serve(clock, {small, large}, {10, 500}, 10000);
  EXPECT_NEAR(served.at(large.get()) / served.at(small.get()), 3, 0.1);
}

TEST(FairClock, ANewcomerStartsAtThePresent) {
  FairClock clock;
  const auto busy = client("busy");
  std::uint64_t last = 0;
  for (int i = 0; i < 100; ++i) last = clock.start(*busy, 100);
  clock.serves(1000);
  const std::uint64_t start = clock.start(*client("new"), 100);
  EXPECT_GE(start, 1000u);
  EXPECT_LT(start, last);
}

TEST(Admission, OneKeyLeavesRoomForAnother) {
  LoadMonitor load;
  Admission admission(100, load);
  const auto greedy = client("greedy");
  std::vector<Admission::Ticket> tickets;
  std::string code;
  while (code.empty()) {
    auto ticket = admission.enter(greedy, {}, 0);
    if (ticket) {
      tickets.push_back(*std::move(ticket));
    } else {
      code = ticket.error().code;
      EXPECT_EQ(ticket.error().status, 429);
    }
  }
  EXPECT_EQ(code, "queue_share_exceeded");
  EXPECT_NEAR(static_cast<double>(tickets.size()), 80, 2);
  EXPECT_TRUE(admission.enter(client("modest"), {}, 0));
  tickets.clear();
  EXPECT_EQ(admission.in_flight(), 0);
  EXPECT_EQ(greedy->waiting(), 0);
}

TEST(Admission, WithoutKeysTheWholeQueueIsThere) {
  LoadMonitor load;
  Admission admission(10, load);
  const auto anybody = std::make_shared<Client>(ApiKey{"anonymous", {}});
  std::vector<Admission::Ticket> tickets;
  for (int i = 0; i < 10; ++i) tickets.push_back(*admission.enter(anybody, {}, 0));
  const auto refused = admission.enter(anybody, {}, 0);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().status, 503);
  EXPECT_EQ(refused.error().code, "overloaded");
  EXPECT_TRUE(admission.enter(anybody, {}, 1)) << "one runs, so one place in the queue is free";
}

TEST(Admission, RetryAfterComesFromTheDrainRate) {
  LoadMonitor load;
  Admission admission(40, load);
  const auto anybody = std::make_shared<Client>(ApiKey{"anonymous", {}});
  std::vector<Admission::Ticket> tickets;
  for (int i = 0; i < 40; ++i) tickets.push_back(*admission.enter(anybody, {}, 0));
  for (int i = 0; i < 10; ++i) {
    load.finished(2, 10, -1);
    load.second_passed(1, 40);
  }
  const auto refused = admission.enter(anybody, {}, 0);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().fields[0].value, "10") << "half of 40 at 2 a second";
}

TEST(PredictedWait, CountsPlacesAndPrompts) {
  LoadFigures load;
  load.finished_per_second = 2;
  load.prompt_token = 0.001;
  EXPECT_EQ(predicted_wait({.running = 1, .waiting = 0, .slots = 4}, load), 0);
  EXPECT_EQ(predicted_wait({.running = 4, .waiting = 9, .slots = 4}, load), 5);
  EXPECT_EQ(predicted_wait({.running = 1, .slots = 4, .waiting_prompts = 3000}, load), 3);
}

TEST(Ticket, AnUnstartedRequestPaysNothing) {
  LoadMonitor load;
  Admission admission(10, load);
  const auto key = client("a");
  const double before = key->virtual_finish;
  { const auto ticket = *admission.enter(key, {.prompt_tokens = 100}, 0); }
  EXPECT_EQ(key->virtual_finish, before);
}

}  // namespace
}  // namespace bundle::server
