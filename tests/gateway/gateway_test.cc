#include "runtime/gateway/gateway.h"

#include <arpa/inet.h>
#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/file.h"
#include "base/http_client.h"

namespace bundle::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A replica of raw sockets: /ready as told, and one canned answer to everything else.
class FakeReplica {
 public:
  FakeReplica() {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeReplica() {
    stop_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& one : workers_) one.join();
  }

  std::string address(int weight = 1) const {
    return "127.0.0.1:" + std::to_string(port_) + "=" + std::to_string(weight);
  }
  Backend backend(int weight = 1) const { return parse_backend(address(weight)).value(); }
  std::string last_request() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  std::atomic<bool> ready = true;
  std::atomic<bool> mute = false;  // closes without a byte
  std::atomic<bool> ends = false;  // says that it shuts down
  std::atomic<int> requests = 0;
  std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

 private:
  void serve() {
    while (!stop_) {
      const int peer = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) continue;
      workers_.emplace_back([this, peer] { answer_one(peer); });
    }
  }
  void answer_one(int peer) {
    std::string text(65536, '\0');
    const ssize_t n = ::read(peer, text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    std::string reply = answer;
    if (text.starts_with("GET /ready")) {
      reply = ready ? "HTTP/1.0 200 OK\r\n\r\nready" : "HTTP/1.0 503 No\r\n\r\nloading 40 %";
    } else {
      ++requests;
      const std::lock_guard lock(mutex_);
      last_ = text;
      if (mute) reply.clear();
      if (ends) {
        reply =
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"
            R"({"error":{"code":"draining"}})";
      }
    }
    [[maybe_unused]] const auto sent = ::send(peer, reply.data(), reply.size(), MSG_NOSIGNAL);
    ::shutdown(peer, SHUT_WR);
    ::close(peer);
  }

  Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::string last_;
  std::thread thread_;
  std::vector<std::thread> workers_;
};

std::unique_ptr<Gateway> start(GatewayOptions options) {
  auto gateway = Gateway::start(std::move(options));
  EXPECT_TRUE(gateway) << gateway.error().message();
  return gateway ? *std::move(gateway) : nullptr;
}

std::string url(const Gateway& gateway, const std::string& path) {
  return "http://127.0.0.1:" + std::to_string(gateway.port()) + path;
}

void wait_ready(const Gateway& gateway) {
  for (int i = 0; i < 100; ++i) {
    const auto response = http_request({.url = url(gateway, "/ready")});
    if (response && response->status == 200) return;
    std::this_thread::sleep_for(milliseconds(50));
  }
  FAIL() << "no replica became ready";
}

HttpRequest chat(const Gateway& gateway, const char* body = R"({"messages":[]})") {
  return {.method = "POST",
          .url = url(gateway, "/v1/chat/completions?x=1"),
          .headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer k"}},
          .body = body,
          .timeout = seconds(20)};
}

TEST(Gateway, PassesRequestAndAnswer) {
  FakeReplica replica;
  const auto gateway = start({.backends = {replica.backend()}});
  wait_ready(*gateway);
  const auto response = http_request(chat(*gateway));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "ok");
  const std::string seen = replica.last_request();
  EXPECT_TRUE(seen.starts_with("POST /v1/chat/completions?x=1 HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("authorization: Bearer k\r\n"), std::string::npos) << seen;
  EXPECT_NE(seen.find("Content-Length: 15\r\n"), std::string::npos) << seen;
  EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"messages\":[]}")) << seen;
}

TEST(Gateway, TriesAnotherReplicaWhenNoByteCame) {
  FakeReplica mute;
  FakeReplica good;
  mute.mute = true;
  const auto gateway = start({.backends = {mute.backend(), good.backend()}});
  wait_ready(*gateway);
  std::this_thread::sleep_for(seconds(1));
  for (int i = 0; i < 8; ++i) {
    const std::string body = "{\"messages\":[" + std::to_string(i) + "]}";
    const auto response = http_request(chat(*gateway, body.c_str()));
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->status, 200);
  }
  EXPECT_EQ(good.requests, 8);
}

TEST(Gateway, AFullReplicaIsPassedOver) {
  FakeReplica full;
  FakeReplica good;
  full.answer = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";
  const auto gateway = start({.backends = {full.backend(), good.backend()}});
  wait_ready(*gateway);
  std::this_thread::sleep_for(seconds(1));
  for (int i = 0; i < 8; ++i) {
    const std::string body = "{\"messages\":[" + std::to_string(i) + "]}";
    EXPECT_EQ(http_request(chat(*gateway, body.c_str()))->status, 200);
  }
}

TEST(Gateway, AnAnswerThatIsNoneIsNotPassedOn) {
  for (const char* bad :
       {"\xff\x01garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    FakeReplica odd;
    FakeReplica good;
    odd.answer = bad;
    const auto gateway = start({.backends = {odd.backend(), good.backend()}});
    wait_ready(*gateway);
    std::this_thread::sleep_for(milliseconds(200));
    for (int i = 0; i < 4; ++i) {
      const auto response = http_request(chat(*gateway));
      ASSERT_TRUE(response) << response.error().message();
      EXPECT_EQ(response->body, "ok");
    }
  }
}

TEST(Gateway, HoldsARequestOnceForAllItsAttempts) {
  FakeReplica mute;
  mute.mute = true;
  const auto gateway = start({.backends = {mute.backend()}, .hold = seconds(2)});
  wait_ready(*gateway);
  const auto began = std::chrono::steady_clock::now();
  const auto response = http_request(chat(*gateway));
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 503);
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(4));
}

TEST(Gateway, ACutAnswerIsNotTriedAgain) {
  FakeReplica cut;
  FakeReplica other;
  other.ready = false;
  cut.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf";
  const auto gateway = start({.backends = {cut.backend(), other.backend()}});
  wait_ready(*gateway);
  EXPECT_TRUE(http_request(chat(*gateway)).has_error());
  EXPECT_EQ(cut.requests, 1);
  EXPECT_EQ(other.requests, 0);
}

TEST(Gateway, HoldsARequestUntilAReplicaIsReady) {
  FakeReplica replica;
  replica.ready = false;
  std::atomic<int> woken = 0;
  const auto gateway = start({.backends = {replica.backend()}, .wake = [&] { ++woken; }});
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(1500));
    replica.ready = true;
  });
  const auto response = http_request(chat(*gateway));
  later.join();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(woken, 1);
}

TEST(Gateway, AHeldStreamIsToldHowFarTheStartIs) {
  FakeReplica replica;
  replica.ready = false;
  replica.answer = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";
  const auto gateway =
      start({.backends = {replica.backend()}, .comment_interval = milliseconds(300)});
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(2500));
    replica.ready = true;
  });
  const auto response = http_request(chat(*gateway, R"({"stream": true,"messages":[]})"));
  later.join();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_TRUE(response->body.starts_with(": waiting for a replica")) << response->body;
  EXPECT_NE(response->body.find("loading 40 %"), std::string::npos) << response->body;
  EXPECT_TRUE(response->body.ends_with("data: hello\n\n")) << response->body;
  EXPECT_TRUE(replica.last_request().starts_with("POST /v1/chat/completions?x=1 HTTP/1.0"));
}

TEST(Gateway, WhatWaitsTooLongOrOverTheBoundIsToldWhenToComeAgain) {
  FakeReplica replica;
  replica.ready = false;
  const auto late = start({.backends = {replica.backend()}, .hold = seconds(1)});
  const auto response = http_request(chat(*late));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  const auto none = start({.backends = {replica.backend()}, .held_requests = 0});
  const auto refused = http_request(chat(*none));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  bool has_retry_after = false;
  for (const auto& [name, value] : refused->headers) has_retry_after |= name == "retry-after";
  EXPECT_TRUE(has_retry_after);
}

TEST(Gateway, WeightsSplitTraffic) {
  FakeReplica old_one;
  FakeReplica canary;
  const auto gateway = start({.backends = {old_one.backend(9), canary.backend(1)}});
  wait_ready(*gateway);
  std::this_thread::sleep_for(seconds(1));
  for (int i = 0; i < 40; ++i) ASSERT_EQ(http_request(chat(*gateway))->status, 200);
  EXPECT_EQ(canary.requests, 4);
  EXPECT_EQ(old_one.requests, 36);
}

TEST(Gateway, FollowsWhatItDiscovers) {
  FakeReplica stable;
  FakeReplica canary;
  std::atomic<int> share = 0;
  const auto gateway = start({.discover = [&] {
    std::vector<Backend> list = {stable.backend(), canary.backend()};
    list[0].group = "stable";
    list[0].weight = 100 - share;
    list[1].group = "canary";
    list[1].weight = share;
    return list;
  }});
  wait_ready(*gateway);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(http_request(chat(*gateway))->status, 200);
  EXPECT_EQ(canary.requests, 0);
  share = 20;
  std::this_thread::sleep_for(milliseconds(1500));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(http_request(chat(*gateway))->status, 200);
  EXPECT_EQ(canary.requests, 2);
  share = 100;
  std::this_thread::sleep_for(milliseconds(1500));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(http_request(chat(*gateway))->status, 200);
  EXPECT_EQ(canary.requests, 12);
  const std::string state = http_request({.url = url(*gateway, "/gateway/status")})->body;
  EXPECT_NE(state.find(R"("revision":"canary","weight":100)"), std::string::npos) << state;
  EXPECT_NE(state.find(R"("answers":12)"), std::string::npos) << state;
}

TEST(Gateway, AReplicaThatEndsIsWaitedForAndNotAnAnswer) {
  FakeReplica replica;
  replica.ends = true;
  const auto gateway = start({.backends = {replica.backend()}});
  wait_ready(*gateway);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(300));
    replica.ready = false;
    replica.ends = false;
    std::this_thread::sleep_for(milliseconds(1500));
    replica.ready = true;
  });
  const auto response = http_request(chat(*gateway));
  later.join();
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_GT(replica.requests, 1);
}

TEST(Gateway, RefusesWhatIsNoRequest) {
  FakeReplica replica;
  const auto gateway = start({.backends = {replica.backend()}});
  wait_ready(*gateway);
  const auto response = http_request({.method = "POST",
                                      .url = url(*gateway, "/v1/x"),
                                      .headers = {{"Transfer-Encoding", "xchunked"}},
                                      .timeout = seconds(5)});
  if (response) {
    EXPECT_GE(response->status, 400);
  }
  EXPECT_EQ(replica.requests, 0);
}

TEST(Gateway, DrainsAndTellsItsState) {
  FakeReplica replica;
  const auto gateway = start({.backends = {replica.backend()}});
  wait_ready(*gateway);
  const auto state = http_request({.url = url(*gateway, "/gateway/status")});
  ASSERT_TRUE(state);
  EXPECT_NE(state->body.find("\"ready\":true"), std::string::npos) << state->body;
  gateway->begin_drain();
  gateway->wait();
  EXPECT_TRUE(http_request({.url = url(*gateway, "/health")}).has_error());
}

}  // namespace
}  // namespace bundle::gateway
