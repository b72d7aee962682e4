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
