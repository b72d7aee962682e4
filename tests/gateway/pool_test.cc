#include "runtime/gateway/pool.h"

#include <gtest/gtest.h>
#include <map>

namespace bundle::gateway {
namespace {

Pool ready_pool(const std::vector<std::string>& texts) {
  std::vector<Backend> list;
  for (const std::string& text : texts) {
    list.push_back(parse_backend(text).value());
    list.back().ready = true;
  }
  Pool pool;
  pool.update(list);
  return pool;
}

TEST(ParseBackend, TakesUrlsAndWeights) {
  const auto one = parse_backend("http://node1:8000/");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->name(), "node1:8000");
  EXPECT_EQ(one->weight, 1);
  EXPECT_EQ(parse_backend("node1:8000=10")->weight, 10);
  EXPECT_EQ(parse_backend("http://node1:8000 5")->weight, 5);
  EXPECT_EQ(parse_backend("[::1]:80")->host, "::1");
  for (const char* bad : {"", "node", "node:", "node:0", "node:99999", "node:80=x", "node:80=1001",
                          "node:80=-1", "user@node:80", "http://node:80/path", "https://n:80"}) {
    EXPECT_EQ(parse_backend(bad).error().code, ErrorCode::kBadInput) << bad;
  }
}

TEST(Pool, PicksOnlyWhatIsReady) {
  Pool pool = ready_pool({"a:1", "b:1"});
  pool.all()[0]->ready = false;
  EXPECT_EQ(pool.pick(1, {})->host, "b");
  EXPECT_EQ(pool.pick(1, {pool.all()[1]}), nullptr);
  pool.all()[1]->ready = false;
  EXPECT_FALSE(pool.any_ready());
  EXPECT_EQ(pool.pick(1, {}), nullptr);
}

TEST(Pool, EqualPrefixesMeetTheSameReplica) {
  Pool pool = ready_pool({"a:1", "b:1", "c:1"});
  std::map<std::string, int> homes;
  for (std::uint64_t key = 0; key < 300; ++key) {
    Backend* first = pool.pick(key * 7919, {});
    EXPECT_EQ(pool.pick(key * 7919, {}), first);
    ++homes[first->host];
  }
  for (const auto& [host, n] : homes) EXPECT_GT(n, 60) << host;
}

TEST(Pool, ABusyReplicaGivesUpItsPrefix) {
  Pool pool = ready_pool({"a:1", "b:1"});
  Backend* home = pool.pick(42, {});
  home->in_flight = 10;
  EXPECT_NE(pool.pick(42, {}), home);
}

TEST(Pool, WeightsSplitTraffic) {
  Pool pool = ready_pool({"old:1=9", "new:1=1"});
  int canary = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) canary += pool.pick(i, {})->host == "new" ? 1 : 0;
  EXPECT_EQ(canary, 100);
  Pool none = ready_pool({"old:1=9", "new:1=0"});
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_EQ(none.pick(i, {})->host, "old");
}

/// Replicas of two revisions, "stable" and "canary", that share `share` per cent for the canary.
std::vector<Backend> two_revisions(int stable, int canary, int share) {
  std::vector<Backend> list;
  for (int i = 0; i < stable + canary; ++i) {
    Backend one = parse_backend("r" + std::to_string(i) + ":1").value();
    one.ready = true;
    one.group = i < stable ? "stable" : "canary";
    one.weight = i < stable ? 100 - share : share;
    list.push_back(one);
  }
  return list;
}

int canary_picks(Pool& pool, int requests, bool same_prefix = false) {
  int picks = 0;
  for (int i = 0; i < requests; ++i) {
    const auto key = static_cast<std::uint64_t>(same_prefix ? 7 : i * 7919);
    picks += pool.pick(key, {})->group == "canary" ? 1 : 0;
  }
  return picks;
}

TEST(Pool, ARevisionsShareDoesNotDependOnHowManyReplicasItHas) {
  for (const auto& [stable, canary] : {std::pair(1, 1), std::pair(9, 1), std::pair(2, 5)}) {
    Pool pool;
    pool.update(two_revisions(stable, canary, 10));
    EXPECT_EQ(canary_picks(pool, 200), 20) << stable << " " << canary;
  }
}

TEST(Pool, HalvesAreHalvesForOnePrefixToo) {
  Pool pool;
  pool.update(two_revisions(1, 1, 50));
  EXPECT_EQ(canary_picks(pool, 100, true), 50);
}

TEST(Pool, ARevisionWithoutAReadyReplicaLeavesItsShareToTheOther) {
  Pool pool;
  pool.update(two_revisions(2, 1, 30));
  pool.all()[2]->ready = false;
  EXPECT_EQ(canary_picks(pool, 50), 0);
  pool.all()[2]->ready = true;
  EXPECT_EQ(canary_picks(pool, 100), 30);
  pool.all()[0]->ready = false;
  EXPECT_EQ(canary_picks(pool, 100), 30);
}

TEST(Pool, SharesChangeWhileItRuns) {
  Pool pool;
  pool.update(two_revisions(1, 1, 10));
  EXPECT_EQ(canary_picks(pool, 10), 1);
  pool.update(two_revisions(1, 1, 100));
  EXPECT_EQ(canary_picks(pool, 20), 20);
  pool.update(two_revisions(1, 1, 0));
  EXPECT_EQ(canary_picks(pool, 20), 0);
  pool.update(two_revisions(1, 0, 0));
  EXPECT_EQ(pool.all().size(), 1u);
  EXPECT_EQ(canary_picks(pool, 20), 0);
}

TEST(Pool, AskingWhetherAnotherIsReadyChangesNoShare) {
  Pool pool = ready_pool({"a:1=9", "b:1=1"});
  int second = 0;
  for (int i = 0; i < 20; ++i) {
    Backend* picked = pool.pick(1, {});
    second += picked->host == "b" ? 1 : 0;
    EXPECT_TRUE(pool.any_ready(picked));
  }
  EXPECT_EQ(second, 2);
  pool.all()[1]->ready = false;
  EXPECT_FALSE(pool.any_ready(pool.all()[0]));
}

TEST(Pool, WhatIsNoLongerListedFinishesAndGoes) {
  Pool pool = ready_pool({"a:1", "b:1"});
  Backend* a = pool.all()[0];
  a->in_flight = 1;
  pool.update({parse_backend("b:1").value()});
  EXPECT_EQ(pool.all().size(), 2u);
  EXPECT_EQ(pool.pick(1, {})->host, "b");
  a->in_flight = 0;
  pool.update({parse_backend("b:1").value()});
  ASSERT_EQ(pool.all().size(), 1u);
  EXPECT_TRUE(pool.all()[0]->ready);  // known ones keep their state
}

TEST(PrefixKey, DependsOnTheBeginningOfTheConversation) {
  const std::string system(2000, 's');
  const auto body = [&](const char* settings, const std::string& end) {
    return std::string("{\"model\":\"m\"") + settings + ",\"messages\":[{\"content\":\"" + system +
           end + "\"}]}";
  };
  EXPECT_EQ(prefix_key(body("", "a")), prefix_key(body(",\"seed\":1", "b")));
  EXPECT_NE(prefix_key("{\"prompt\":\"a\"}"), prefix_key("{\"prompt\":\"b\"}"));
}

}  // namespace
}  // namespace bundle::gateway
