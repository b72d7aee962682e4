#include "runtime/server/api_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "runtime/server/client.h"
#include "runtime/server/key_ring.h"

namespace bundle::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

std::string hashed(const std::string& secret, const std::string& properties = "") {
  return "sha256:" + sha256_hex(secret) + properties + "\n";
}

TEST(KeyFile, ReadsSecretsAndHashes) {
  const auto keys = parse_key_file(
      "# of the team\nsk-plain\n" +
          hashed("sk-alice",
                 " name=alice scopes=metrics requests_per_minute=60 tokens_per_minute=1e4 "
                 "concurrency=2 weight=0.5 priority=-1"),
      "keys");
  ASSERT_TRUE(keys) << keys.error().message();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0], plain_key("sk-plain"));
  const ApiKey& alice = (*keys)[1];
  EXPECT_EQ(alice.name, "alice");
  EXPECT_EQ(alice.hash, sha256_hex("sk-alice"));
  EXPECT_FALSE(alice.may(Scope::kInference));
  EXPECT_TRUE(alice.may(Scope::kMetrics));
  EXPECT_EQ(alice.limits, (KeyLimits{60, 10000, 2}));
  EXPECT_EQ(alice.weight, 0.5);
  EXPECT_EQ(alice.priority, -1);
}

TEST(KeyFile, NamesTheLineAtFault) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"sk-one\nsha256:abc\n", "keys:2"},
      {hashed("a", " color=red"), "color=red"},
      {hashed("a", " scopes=root"), "scopes=root"},
      {hashed("a", " requests_per_minute=-1"), "requests_per_minute=-1"},
      {hashed("a", " concurrency=1.5"), "concurrency=1.5"},
      {hashed("a", " weight=0"), "weight=0"},
      {hashed("a", " name=a\"b"), "name"},
      {"one\none\n", "twice"},
      {"\n  \n", "no key"},
  };
  for (const auto& [text, what] : cases) {
    const auto keys = parse_key_file(text, "keys");
    ASSERT_TRUE(keys.has_error()) << text;
    EXPECT_THAT(keys.error().message(), HasSubstr(what));
  }
}

TEST(KeyRing, AReloadKeepsWhatStaysTheSame) {
  KeyRing ring({plain_key("a"), plain_key("b")});
  const auto a = ring.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(ring.find("c"), nullptr);
  ring.replace({plain_key("a"), plain_key("c")});
  EXPECT_EQ(ring.find("a"), a);
  EXPECT_EQ(ring.find("b"), nullptr);
  EXPECT_NE(ring.find("c"), nullptr);
  ring.replace({});
  EXPECT_TRUE(ring.open());
}

TEST(TokenBucket, RefillsOverAMinute) {
  TokenBucket bucket(60);
  const auto start = TokenBucket::Clock::now();
  EXPECT_EQ(bucket.seconds_until(60, start), 0);
  bucket.take(60, start);
  EXPECT_NEAR(bucket.seconds_until(1, start), 1, 1e-6);
  EXPECT_EQ(bucket.seconds_until(1, start + 1001ms), 0);
  bucket.take(90, start + 60s);
  EXPECT_NEAR(bucket.seconds_until(1, start + 60s), 31, 1e-6);
  EXPECT_NEAR(bucket.seconds_until(1000, start + 60s), 90, 1e-6) << "a full bucket is enough";
}

TEST(Client, CountsRequestsTokensAndConcurrency) {
  ApiKey key = plain_key("a");
  key.limits = {.requests_per_minute = 3, .tokens_per_minute = 100, .concurrency = 2};
  Client client(key);
  const auto now = Client::Clock::now();
  EXPECT_FALSE(client.enter(2, 50, now));
  EXPECT_EQ(client.enter(1, 1, now)->code, "concurrency_limit_exceeded");
  client.started(2);
  EXPECT_EQ(client.waiting(), 0);
  client.leave(2, true, 40, now);
  EXPECT_EQ(client.in_flight(), 0);
  EXPECT_EQ(client.enter(1, 20, now)->code, "token_limit_exceeded");
  EXPECT_FALSE(client.enter(1, 5, now));
  client.undo(1, 5, now);
  EXPECT_FALSE(client.enter(1, 5, now));
  EXPECT_FALSE(client.enter(1, 1, now));
  client.leave(1, false, 0, now);
  const auto refused = client.enter(1, 1, now);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->code, "request_limit_exceeded");
  EXPECT_EQ(refused->fields[0].name, "Retry-After");
  EXPECT_EQ(refused->fields[0].value, "20");
  EXPECT_EQ(client.rate_fields(now)[0].name, "X-RateLimit-Limit-Requests");
}

}  // namespace
}  // namespace bundle::server
