// Keys, scopes, limits, deadlines, priorities and the autoscaling document, over HTTP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "tests/server/fixture.h"
#include "tests/server/http_sink.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr char kPrompt[] = R"({"prompt":"x","max_tokens":5})";

ApiKey named(const std::string& secret, unsigned scopes = kAllScopes, KeyLimits limits = {}) {
  ApiKey key = plain_key(secret);
  key.name = secret;
  key.scopes = scopes;
  key.limits = limits;
  return key;
}

std::string bearer(const std::string& secret) { return "Authorization: Bearer " + secret + "\r\n"; }

std::string code_of(const RawResponse& response) {
  return std::string(response.json().at("error").at("code").as_string());
}

Script slow_fox(const engine::Request&) { return {.tokens = ids_of("fox "), .repeat = true}; }

TEST(Keys, GuardEveryRouteButHealth) {
  ServerOptions options;
  options.api_keys = {plain_key("secret")};
  TestServer server(options);
  for (const char* path : {"/v1/models", "/v1/models/toy", "/metrics", "/autoscale", "/version",
                           "/v1/chat/completions", "/tokenize", "/nothing"}) {
    EXPECT_EQ(server.exchange(get(path)).status, 401) << path;
    EXPECT_EQ(code_of(server.exchange(get(path, bearer("other")))), "invalid_api_key") << path;
  }
  for (const char* path : {"/health", "/live", "/ready"}) {
    EXPECT_EQ(server.exchange(get(path)).status, 200) << path;
  }
  EXPECT_EQ(server.exchange(get("/v1/models", bearer("secret"))).status, 200);
  EXPECT_EQ(server.exchange(get("/v1/models", "X-Api-Key: secret\r\n")).status, 200);
}

TEST(Keys, MayDoWhatTheirScopesSay) {
  ServerOptions options;
  options.api_keys = {named("i", static_cast<unsigned>(Scope::kInference)),
                      named("m", static_cast<unsigned>(Scope::kMetrics))};
  TestServer server(options);
  EXPECT_EQ(server.exchange(get("/v1/models", bearer("i"))).status, 200);
  EXPECT_EQ(server.exchange(get("/metrics", bearer("m"))).status, 200);
  const RawResponse refused = server.exchange(get("/metrics", bearer("i")));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(code_of(refused), "insufficient_scope");
  EXPECT_EQ(server.exchange(post("/v1/completions", kPrompt, bearer("m"))).status, 403);
}

TEST(Keys, AreReplacedWithoutARestart) {
  ServerOptions options;
  options.api_keys = {plain_key("old")};
  TestServer server(options);
  server.http().set_api_keys({plain_key("new")});
  EXPECT_EQ(server.exchange(get("/v1/models", bearer("old"))).status, 401);
  EXPECT_EQ(server.exchange(get("/v1/models", bearer("new"))).status, 200);
}

TEST(Keys, HaveLimitsOfTheirOwn) {
  ServerOptions options;
  options.api_keys = {named("two", kAllScopes, {.requests_per_minute = 2}), named("free")};
  TestServer server(options);
  const auto ask = [&](const std::string& key) {
    return server.exchange(post("/v1/completions", kPrompt, bearer(key)));
  };
  const RawResponse first = ask("two");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.field("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.field("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(ask("two").status, 200);
  const RawResponse refused = ask("two");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(code_of(refused), "request_limit_exceeded");
  EXPECT_NEAR(std::stod(refused.field("retry-after")), 30, 1);
  EXPECT_EQ(ask("free").status, 200);
  const std::string metrics = server.exchange(get("/metrics", bearer("free"))).body;
  EXPECT_THAT(metrics, HasSubstr(R"(bundle_key_requests_total{key="two"} 2)"));
  EXPECT_THAT(metrics,
              HasSubstr(R"(bundle_rejected_requests_total{reason="request_limit_exceeded"} 1)"));
}

TEST(Deadline, EndsWithWhatIsThere) {
  TestServer server(slow_fox, {}, 5ms);
  const RawResponse answer = server.exchange(post(
      "/v1/completions", R"({"prompt":"x","max_tokens":900})", "X-Request-Timeout-Ms: 300\r\n"));
  EXPECT_EQ(answer.status, 200);
  const Json choice = answer.json().at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "deadline");
  EXPECT_THAT(std::string(choice.at("text").as_string()), HasSubstr("fox"));
  EXPECT_TRUE(server.engine().wait_for_running(0)) << "the engine was told";
}

TEST(Deadline, EndsAStreamWithItsLastEvent) {
  TestServer server(slow_fox, {}, 5ms);
  const RawResponse answer =
      server.exchange(post("/v1/completions", R"({"prompt":"x","max_tokens":900,"stream":true})",
                           "X-Request-Timeout-Ms: 200\r\n"));
  const auto events = answer.events();
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_THAT(events[events.size() - 2], HasSubstr(R"("finish_reason":"deadline")"));
}

TEST(Deadline, IsSaidInEachApisOwnWords) {
  TestServer server(slow_fox, {}, 5ms);
  const auto ask = [&](const std::string& path, const std::string& body) {
    const RawResponse answer = server.exchange(post(path, body, "X-Request-Timeout-Ms: 200\r\n"));
    EXPECT_EQ(answer.status, 200) << path << answer.body;
    return answer.json();
  };
  const std::string turn = R"("messages":[{"role":"user","content":"hi"}])";
  const Json message = ask("/v1/messages", R"({"model":"toy","max_tokens":900,)" + turn + "}");
  EXPECT_EQ(message.at("stop_reason"), "deadline");
  const Json response =
      ask("/v1/responses", R"({"model":"toy","input":"hi","max_output_tokens":900})");
  EXPECT_EQ(response.at("status"), "incomplete");
  EXPECT_EQ(response.at("incomplete_details").at("reason"), "deadline");
  const Json ollama = ask("/api/chat", R"({"model":"toy","stream":false,)" + turn + "}");
  EXPECT_EQ(ollama.at("done_reason"), "deadline");
}

TEST(Deadline, WithoutATokenIsAnErrorThatNeedsNoRetry) {
  TestServer server([](const engine::Request&) { return Script{.hold = true}; });
  const RawResponse answer =
      server.exchange(post("/v1/completions", kPrompt, "X-Request-Timeout-Ms: 50\r\n"));
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(code_of(answer), "deadline_exceeded");
  EXPECT_EQ(answer.field("x-should-retry"), "false");
}

TEST(Deadline, OfTheServerHoldsForAll) {
  ServerOptions options;
  options.request_timeout = 100ms;
  TestServer server(slow_fox, options, 5ms);
  const RawResponse answer = server.exchange(post(
      "/v1/completions", R"({"prompt":"x","max_tokens":900})", "X-Request-Timeout-Ms: 9999\r\n"));
  EXPECT_EQ(answer.json().at("choices").at(0).at("finish_reason"), "deadline");
}

TEST(Deadline, MustBeANumberOfMilliseconds) {
  TestServer server;
  for (const char* value : {"0", "-5", "soon", "1.5", "86400001", "99999999999999999999"}) {
    const RawResponse answer = server.exchange(
        post("/v1/completions", kPrompt, "X-Request-Timeout-Ms: " + std::string(value) + "\r\n"));
    EXPECT_EQ(answer.status, 400) << value;
    EXPECT_EQ(answer.json().at("error").at("param"), "X-Request-Timeout-Ms");
  }
}

TEST(Priority, ReachesTheEngineAndIsBoundToTheKey) {
  ServerOptions options;
  options.api_keys = {named("plain"), named("urgent")};
  options.api_keys[1].priority = -5;
  TestServer server(options);
  const std::string body = R"({"prompt":"x","max_tokens":2,"priority":-3})";
  EXPECT_EQ(server.exchange(post("/v1/completions", body, bearer("plain"))).status, 400);
  EXPECT_EQ(server.exchange(post("/v1/completions", body, bearer("urgent"))).status, 200);
  EXPECT_EQ(server.engine().requests().back().priority, -3);
  const RawResponse metrics = server.exchange(get("/metrics", bearer("plain")));
  EXPECT_THAT(metrics.body, testing::Not(HasSubstr("bundle_rejected_requests_total{")))
      << "a mistake is no lack of room";
}

TEST(FairTurns, ASecondKeyDoesNotStandBehindTheFirstsQueue) {
  ServerOptions options;
  options.api_keys = {named("flood"), named("single")};
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", kPrompt, bearer("flood")));
  }
  ASSERT_TRUE(server.engine().wait_for_running(20));
  clients.push_back(server.connect());
  clients.back().send(post("/v1/completions", kPrompt, bearer("single")));
  ASSERT_TRUE(server.engine().wait_for_running(21));
  const auto requests = server.engine().requests();
  int before = 0;
  for (std::size_t i = 0; i < 20; ++i) before += requests[i].turn < requests[20].turn;
  EXPECT_LE(before, 1);
}

TEST(Autoscale, SaysHowManyAndWhy) {
  TestServer server([](const engine::Request&) { return Script{.hold = true}; });
  std::vector<RawClient> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", kPrompt));
  }
  ASSERT_TRUE(server.engine().wait_for_running(12));
  const std::string path = "/autoscale?target_concurrency=3&replicas=2&max_replicas=6";
  const auto answer_now = [&] { return server.exchange(get(path)).json(); };
  for (int i = 0; i < 100 && answer_now().at("objective") != "bounds"; ++i)
    std::this_thread::sleep_for(50ms);
  const Json answer = server.exchange(get(path)).json();
  EXPECT_EQ(answer.at("replicas").at("desired"), 6);
  EXPECT_EQ(answer.at("objective"), "bounds");
  EXPECT_THAT(std::string(answer.at("reason").as_string()), HasSubstr("the target is 3"));
  EXPECT_EQ(answer.at("signals").at("running"), 12);
  EXPECT_EQ(server.exchange(get("/autoscale?replicas=many")).status, 400);
}

TEST(AdmissionPreview, SaysWhatWouldBecomeOfARequest) {
  ServerOptions options;
  options.limits.queued_requests = 1;
  TestServer server(
      [](const engine::Request& request) {
        return Script{.hold = !request.preview, .cached_tokens = 1};
      },
      options);
  server.engine().set_running_limit(1);
  const auto preview = [&](const std::string& body) {
    return server.exchange(post("/v1/admission", body));
  };
  const std::string chat = R"({"model":"toy","messages":[{"role":"user","content":"hi"}]})";
  const Json first = preview(chat).json();
  EXPECT_EQ(first.at("object"), "admission");
  EXPECT_EQ(first.at("admitted"), true);
  EXPECT_GT(first.at("prompt_tokens").as_int64(), 1);
  EXPECT_EQ(first.at("cached_tokens"), 1);
  EXPECT_EQ(first.at("queue").at("position"), 0);
  EXPECT_TRUE(server.engine().wait_for_running(0)) << "nothing runs";
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", kPrompt));
    ASSERT_TRUE(server.engine().wait_for_running(static_cast<std::size_t>(i + 1)));
  }
  const Json second = preview(kPrompt).json();
  EXPECT_EQ(second.at("admitted"), false);
  EXPECT_EQ(second.at("reason"), "overloaded");
  EXPECT_GE(second.at("retry_after_seconds").as_int64(), 1);
  EXPECT_EQ(second.at("queue").at("waiting"), 1);
  EXPECT_EQ(second.at("queue").at("position"), 2);
  EXPECT_EQ(preview("{}").status, 400);
  EXPECT_THAT(
      server.exchange(get("/metrics")).body,
      HasSubstr("vllm:e2e_request_latency_seconds_count{engine=\"0\",model_name=\"toy\"} 0"));
}

TEST(AdmissionPreview, CostsNothingOfAKeysLimits) {
  ServerOptions options;
  options.api_keys = {named("one", kAllScopes, {.requests_per_minute = 1})};
  TestServer server(options);
  for (int i = 0; i < 3; ++i) {
    const RawResponse answer = server.exchange(post("/v1/admission", kPrompt, bearer("one")));
    EXPECT_EQ(answer.json().at("admitted"), true);
  }
  EXPECT_EQ(server.exchange(post("/v1/completions", kPrompt, bearer("one"))).status, 200);
}

TEST(Overload, ReadySaysSo) {
  ServerOptions options;
  options.limits.queued_requests = 2;
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  server.engine().set_running_limit(1);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", kPrompt));
    ASSERT_TRUE(server.engine().wait_for_running(static_cast<std::size_t>(i + 1)));
  }
  RawResponse ready;
  for (int i = 0; i < 60 && ready.status != 503; ++i) {
    std::this_thread::sleep_for(50ms);
    ready = server.exchange(get("/ready"));
  }
  EXPECT_EQ(code_of(ready), "overloaded");
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
  clients.clear();
  for (int i = 0; i < 60 && ready.status != 200; ++i) {
    std::this_thread::sleep_for(50ms);
    ready = server.exchange(get("/ready"));
  }
  EXPECT_EQ(ready.status, 200);
}

TEST(Webhook, TellsWhenAThresholdIsCrossedAndCleared) {
  HttpSink receiver;
  ServerOptions options;
  options.webhook = {.url = receiver.url("/hook"), .waiting = 2};
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  server.engine().set_running_limit(1);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", kPrompt));
  }
  const auto crossed = receiver.wait_for(1);
  ASSERT_EQ(crossed.size(), 1u);
  const Json document = *parse_json(crossed[0], "webhook");
  EXPECT_EQ(document.at("event"), "threshold_crossed");
  EXPECT_EQ(document.at("signal"), "waiting");
  EXPECT_EQ(document.at("value"), 2.0);
  EXPECT_EQ(document.at("model"), "toy");
  clients.clear();
  const auto both = receiver.wait_for(2);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(parse_json(both[1], "webhook")->at("event"), "threshold_cleared");
}

}  // namespace
}  // namespace bundle::server
