// Clients that leave, read slowly or come all at once; and a server that shuts down.
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <thread>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

Script endless(const engine::Request&) { return {.tokens = ids_of("Hello world"), .repeat = true}; }

Script held(const engine::Request&) { return {.hold = true}; }

std::string completion(std::string_view fields) {
  return post("/v1/completions", R"({"prompt":"x",)" + std::string(fields) + "}");
}

double seconds_until_idle(FakeEngine& engine) {
  const auto start = Clock::now();
  EXPECT_TRUE(engine.wait_for_running(0));
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TEST(Disconnect, FreesTheSlotAtOnce) {
  TestServer server(held);
  for (const char* fields : {R"("max_tokens":5)", R"("stream":true)", R"("n":4)"}) {
    for (int way = 0; way < 3; ++way) {
      RawClient client = server.connect();
      client.send(completion(fields));
      ASSERT_TRUE(server.engine().wait_for_running(std::string(fields) == R"("n":4)" ? 4 : 1));
      if (way == 0) client.close();
      if (way == 1) client.reset();
      if (way == 2) client.shutdown_send();
      EXPECT_LT(seconds_until_idle(server.engine()), 0.5) << fields << ' ' << way;
    }
  }
}

TEST(Disconnect, InTheMiddleOfAStream) {
  TestServer server(endless, {}, std::chrono::microseconds(500));
  RawClient client = server.connect();
  client.send(completion(R"("stream":true,"max_tokens":1000)"));
  client.read_until("world");
  client.close();
  EXPECT_LT(seconds_until_idle(server.engine()), 0.5);
  EXPECT_THAT(server.exchange(get("/metrics")).body,
              HasSubstr(R"(finished_reason="abort",model_name="toy"} 1)"));
}

TEST(Disconnect, IsSeenBehindAPipelinedRequest) {
  TestServer server(held);
  RawClient client = server.connect();
  client.send(completion(R"("max_tokens":5)") + get("/health"));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  client.close();
  EXPECT_LT(seconds_until_idle(server.engine()), 0.5);
}

TEST(Disconnect, TwoHundredClientsThatGiveUpLeaveNothingBehind) {
  TestServer server(held);
  std::vector<RawClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(server.connect());
    clients.back().send(completion(i % 2 == 0 ? R"("stream":true)" : R"("max_tokens":3)"));
  }
  ASSERT_TRUE(server.engine().wait_for_running(200));
  clients.clear();
  EXPECT_LT(seconds_until_idle(server.engine()), 2);
}

/// A reader that never reads may hold so much unread output and no more: then it is cut.
TEST(SlowReader, IsCutWhenTooMuchIsUnread) {
  ServerOptions options;
  options.limits.pending_bytes = 64 << 10;
  TestServer server(endless, options);
  server.engine().set_max_context(100'000'000);
  RawClient client = server.connect();
  client.shrink_receive_buffer();
  client.send(completion(R"("stream":true,"logprobs":20,"max_tokens":50000000)"));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  EXPECT_TRUE(server.engine().wait_for_running(0));
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
}

TEST(SlowReader, IsCutWhenItTakesNothingForLong) {
  ServerOptions options;
  options.limits.write_timeout = std::chrono::milliseconds(300);
  options.limits.pending_bytes = 1 << 30;
  TestServer server(endless, options, std::chrono::microseconds(100));
  server.engine().set_max_context(100'000'000);
  RawClient client = server.connect();
  client.shrink_receive_buffer();
  client.send(completion(R"("stream":true,"logprobs":20,"max_tokens":50000000)"));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  EXPECT_TRUE(server.engine().wait_for_running(0));
}

TEST(Admission, RefusesWhatWouldWaitTooLong) {
  ServerOptions options;
  options.limits.queued_requests = 4;
  TestServer server(held, options);
  server.engine().set_running_limit(2);
  std::vector<RawClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(server.connect());
    clients.back().send(completion(R"("max_tokens":3)"));
    ASSERT_TRUE(server.engine().wait_for_running(static_cast<std::size_t>(i + 1)));
  }
  const RawResponse refused = server.completion(R"("prompt":"x")");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.json().at("error").at("code"), "overloaded");
  EXPECT_GE(std::stoi(refused.field("retry-after")), 1);
  clients.pop_back();
  ASSERT_TRUE(server.engine().wait_for_running(5));
  clients.push_back(server.connect());
  clients.back().send(completion(R"("max_tokens":3)"));
  EXPECT_TRUE(server.engine().wait_for_running(6));
  EXPECT_THAT(server.exchange(get("/metrics")).body,
              HasSubstr(R"(bundle_rejected_requests_total{reason="overloaded"} 1)"));
}

TEST(Drain, FinishesWhatRunsAndRefusesTheRest) {
  TestServer server(endless, {}, std::chrono::milliseconds(2));
  RawClient idle = server.connect();
  idle.send(get("/health"));
  idle.read_response();
  RawClient running = server.connect();
  running.send(completion(R"("stream":true,"max_tokens":200)"));
  RawClient whole = server.connect();
  whole.send(completion(R"("max_tokens":200)"));
  ASSERT_TRUE(server.engine().wait_for_running(2));
  server.http().begin_drain();
  EXPECT_TRUE(idle.closed(1));
  EXPECT_EQ(server.exchange(get("/ready")).status, 503);
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
  const RawResponse refused = server.completion(R"("prompt":"x")");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.json().at("error").at("code"), "draining");
  EXPECT_EQ(refused.field("connection"), "close");
  EXPECT_NE(refused.field("retry-after"), "");
  EXPECT_EQ(running.read_response().events().back(), "[DONE]");
  EXPECT_EQ(whole.read_response().json().at("usage").at("completion_tokens"), 200);
  EXPECT_TRUE(server.http().wait());
}

TEST(Drain, EndsWhatRunsTooLongWithALastEvent) {
  ServerOptions options;
  options.drain_timeout = std::chrono::milliseconds(200);
  TestServer server(endless, options, std::chrono::milliseconds(1));
  server.engine().set_max_context(100'000'000);
  RawClient stream = server.connect();
  stream.send(completion(R"("stream":true,"max_tokens":10000000)"));
  RawClient whole = server.connect();
  whole.send(completion(R"("max_tokens":10000000)"));
  ASSERT_TRUE(server.engine().wait_for_running(2));
  server.http().begin_drain();
  const RawResponse cut = stream.read_response();
  EXPECT_TRUE(cut.complete);
  EXPECT_EQ(cut.events().back(), "[DONE]");
  EXPECT_THAT(cut.body, HasSubstr(R"("code":"draining")"));
  EXPECT_EQ(whole.read_response().status, 503);
  EXPECT_FALSE(server.http().wait());
  EXPECT_TRUE(server.engine().wait_for_running(0));
}

/// Who ends the process next takes what the client's kernel has not got along.
TEST(Drain, WaitsUntilTheLastAnswerHasArrived) {
  TestServer server(endless, {}, std::chrono::milliseconds(1));
  server.engine().set_max_context(100'000);
  RawClient slow = server.connect();
  slow.shrink_receive_buffer();
  slow.send(completion(R"("stream":true,"max_tokens":700)"));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  server.http().begin_drain();
  auto over = std::async(std::launch::async, [&server] { return server.http().wait(); });
  ASSERT_TRUE(server.engine().wait_for_running(0));
  EXPECT_EQ(over.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  const int much = 1 << 20;
  ::setsockopt(slow.handle(), SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
  EXPECT_EQ(slow.read_response().events().back(), "[DONE]");
  EXPECT_EQ(over.wait_for(std::chrono::milliseconds(1000)), std::future_status::ready);
  EXPECT_TRUE(over.get());
}

TEST(Drain, OfAnIdleServerIsImmediate) {
  TestServer server;
  server.http().begin_drain();
  EXPECT_TRUE(server.http().wait());
}

TEST(Stop, CutsWhatRuns) {
  TestServer server(held);
  RawClient client = server.connect();
  client.send(completion(R"("stream":true)"));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  server.http().stop();
  EXPECT_TRUE(client.closed(2));
  EXPECT_TRUE(server.engine().wait_for_running(0));
  server.http().stop();
}

/// One client's work beside seven others': everyone gets exactly its own answer.
TEST(Concurrency, AnswersDoNotMix) {
  const std::vector<std::string> words = {"Hello",  " world", " the",   " quick",
                                          " brown", " fox",   " jumps", " over"};
  TestServer server([&](const engine::Request& request) {
    return Script{.tokens = {request.prompt.back()}, .repeat = true};
  });
  std::vector<std::future<void>> clients;
  for (const std::string& word : words) {
    clients.push_back(std::async(std::launch::async, [&server, word] {
      RawClient client = server.connect();
      for (int i = 0; i < 30; ++i) {
        std::string expected;
        for (int k = 0; k < 10 + i; ++k) expected += word;
        client.send(post("/v1/completions", R"({"prompt":")" + word + R"(","max_tokens":)" +
                                                std::to_string(10 + i) + R"(,"stream":)" +
                                                (i % 2 == 0 ? "true}" : "false}")));
        const RawResponse response = client.read_response();
        ASSERT_EQ(response.status, 200) << response.body;
        std::string text;
        if (i % 2 == 0) {
          for (const std::string& event : response.events()) {
            if (event != "[DONE]")
              text += parse_json(event, "e")->at("choices").at(0).at("text").as_string();
          }
        } else {
          text = response.json().at("choices").at(0).at("text").as_string();
        }
        EXPECT_EQ(text, expected);
      }
    }));
  }
  std::atomic<bool> over = false;
  std::thread watcher([&] {
    while (!over) {
      EXPECT_EQ(server.exchange(get("/health")).status, 200);
      EXPECT_EQ(server.exchange(get("/metrics")).status, 200);
      server.http().set_model(toy_model());
    }
  });
  for (auto& client : clients) client.get();
  over = true;
  watcher.join();
}

}  // namespace
}  // namespace bundle::server
