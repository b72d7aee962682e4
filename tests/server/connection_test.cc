// HTTP itself: methods, keys, limits, keep-alive, and one envelope for every error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;

/// The envelope that every error comes in: four keys, message and type strings.
void expect_error(const RawResponse& response, int status, std::string_view code) {
  EXPECT_EQ(response.status, status) << response.body;
  EXPECT_EQ(response.field("content-type"), "application/json");
  const Json body = response.json();
  ASSERT_TRUE(body.is_object() && body.as_object().size() == 1) << response.body;
  const Json& error = body.at("error");
  ASSERT_EQ(error.as_object().size(), 4u);
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_TRUE(error.at("type").is_string());
  EXPECT_TRUE(error.at("param").is_null() || error.at("param").is_string());
  EXPECT_EQ(error.at("code"), Json(code));
}

TEST(Connection, EveryErrorHasTheEnvelope) {
  TestServer server;
  const auto ask = [&](std::string_view request) { return server.exchange(request); };
  expect_error(ask(get("/nope")), 404, "unknown_url");
  expect_error(ask(get("/v1/models/")), 404, "unknown_url");
  expect_error(ask(get("/v1/chat/completions")), 405, "method_not_allowed");
  expect_error(ask(post("/v1/models", "{}")), 405, "method_not_allowed");
  expect_error(ask("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), 501, "method_not_implemented");
  expect_error(ask("GET / HTTP/1.1\r\n\r\n"), 400, "bad_request");
  expect_error(ask("GET / HTTP/3.0\r\nHost: h\r\n\r\n"), 505, "http_version_not_supported");
  expect_error(ask(post("/v1/completions", "{")), 400, "invalid_json");
  expect_error(ask(post("/v1/completions", "[]")), 400, "invalid_json");
  expect_error(ask(post("/v1/completions", "{\"prompt\":\"\xff\"}")), 400, "invalid_json");
  expect_error(ask(post("/v1/completions", R"({"prompt":"\ud800"})")), 400, "invalid_json");
  expect_error(ask(post("/v1/completions", std::string(10000, '['))), 400, "invalid_json");
  expect_error(ask("POST /v1/completions HTTP/1.1\r\nHost: h\r\n"
                   "Content-Type: application/json\r\n\r\n"),
               411, "length_required");
  expect_error(ask("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"), 415,
               "unsupported_media_type");
  expect_error(ask("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
                   "Content-Length: 2\r\n\r\n{}"),
               415, "unsupported_media_type");
  expect_error(ask(post("/v1/completions", "{}", "Content-Encoding: gzip\r\n")), 415,
               "unsupported_media_type");
}

TEST(Connection, MethodNotAllowedNamesWhatIs) {
  TestServer server;
  EXPECT_EQ(server.exchange(get("/v1/completions")).field("allow"), "POST, OPTIONS");
  EXPECT_THAT(server.exchange(post("/health", "{}")).field("allow"), HasSubstr("GET"));
}

TEST(Connection, MediaTypeMayHaveACharset) {
  TestServer server;
  const std::string body = R"({"prompt":"x"})";
  EXPECT_EQ(server
                .exchange("POST /v1/completions HTTP/1.1\r\nHost: h\r\n"
                          "Content-Type: Application/JSON ; charset=utf-8\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body)
                .status,
            200);
}

TEST(Connection, HeadHasNoBodyAndOptionsSaysWhatIsAllowed) {
  TestServer server;
  RawClient client = server.connect();
  client.send("HEAD /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  const RawResponse head = client.read_response(10, /*head_only=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.field("content-length"), "0");
  client.send("OPTIONS /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  const RawResponse options = client.read_response(10, /*head_only=*/true);
  EXPECT_EQ(options.status, 204);
  EXPECT_THAT(options.field("allow"), HasSubstr("GET"));
  EXPECT_EQ(options.field("access-control-allow-origin"), "");
  client.send(get("/health"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Connection, KeepsAliveAndAnswersPipelinedRequestsInOrder) {
  TestServer server;
  RawClient client = server.connect();
  client.send(get("/health") + post("/v1/completions", R"({"prompt":"x","max_tokens":1})") +
              post("/v1/completions", R"({"prompt":"x","max_tokens":2,"stream":true})") +
              get("/version") + get("/nope") + get("/health", "Connection: close\r\n"));
  EXPECT_EQ(client.read_response().body, R"({"status":"ok"})");
  EXPECT_THAT(client.read_response().body, HasSubstr("text_completion"));
  EXPECT_EQ(client.read_response().events().back(), "[DONE]");
  EXPECT_THAT(client.read_response().body, HasSubstr("version"));
  EXPECT_EQ(client.read_response().status, 404);
  const RawResponse last = client.read_response();
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.field("connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST(Connection, SpeaksHttp10) {
  TestServer server;
  RawClient plain = server.connect();
  plain.send("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(plain.read_response().field("connection"), "close");
  EXPECT_TRUE(plain.closed());
  RawClient kept = server.connect();
  kept.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.read_response().field("connection"), "keep-alive");
  const std::string body = R"({"prompt":"x","stream":true,"max_tokens":2})";
  kept.send("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
  const RawResponse stream = kept.read_response();
  EXPECT_EQ(stream.field("transfer-encoding"), "");
  EXPECT_EQ(stream.events().back(), "[DONE]");
}

TEST(Connection, AfterAMalformedMessageNothingMoreIsRead) {
  TestServer server;
  RawClient client = server.connect();
  client.send("POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n" +
              get("/version"));
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 501);
  EXPECT_EQ(response.field("connection"), "close");
  EXPECT_EQ(client.read_some(), "");
}

TEST(Connection, RequestIdsComeBack) {
  TestServer server;
  EXPECT_EQ(server.exchange(get("/health", "X-Request-Id: abc-1\r\n")).field("x-request-id"),
            "abc-1");
  const std::string made = server.exchange(get("/health")).field("x-request-id");
  EXPECT_TRUE(made.starts_with("req-")) << made;
  EXPECT_TRUE(server.exchange(get("/health", "X-Request-Id: a b\r\n"))
                  .field("x-request-id")
                  .starts_with("req-"));
  EXPECT_NE(server.exchange("GET / HTTP/1.1\r\n\r\n").field("x-request-id"), "");
}

TEST(Connection, ContinuesOnlyWhereTheBodyIsWanted) {
  ServerOptions options;
  options.api_keys = {plain_key("secret")};
  TestServer server(options);
  const std::string body = R"({"prompt":"x","max_tokens":1})";
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n";
  RawClient known = server.connect();
  known.send(head + "Authorization: Bearer secret\r\n\r\n");
  EXPECT_EQ(known.read_some(), "HTTP/1.1 100 Continue\r\n\r\n");
  known.send(body);
  EXPECT_EQ(known.read_response().status, 200);
  RawClient unknown = server.connect();
  unknown.send(head + "\r\n");
  EXPECT_EQ(unknown.read_response().status, 401);
}

TEST(Connection, AHugeBodyIsRefusedBeforeItIsSent) {
  TestServer server;
  RawClient client = server.connect();
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Content-Length: 1099511627776\r\n\r\n");
  expect_error(client.read_response(2), 413, "body_too_large");
}

/// A client that sends first and reads later must still find the answer, not a reset.
TEST(Connection, AClientThatGoesOnSendingGetsTheRefusal) {
  ServerOptions options;
  options.limits.body_bytes = 1000;
  TestServer server(options);
  RawClient client = server.connect();
  client.send(post("/v1/completions", std::string(3'000'000, 'x')));
  expect_error(client.read_response(), 413, "body_too_large");
}

TEST(Connection, SlowRequestsTimeOut) {
  ServerOptions options;
  options.limits.header_timeout = std::chrono::milliseconds(300);
  options.limits.body_timeout = std::chrono::milliseconds(300);
  options.limits.idle_timeout = std::chrono::milliseconds(600);
  TestServer server(options);
  RawClient head = server.connect();
  head.send("GET /health HT");
  expect_error(head.read_response(5), 408, "request_timeout");
  RawClient body = server.connect();
  body.send(
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
      "Content-Length: 10\r\n\r\n{");
  expect_error(body.read_response(5), 408, "request_timeout");
  RawClient drip = server.connect();  // a byte now and then does not buy time
  for (int i = 0; i < 10 && drip.send("G"); ++i) usleep(60'000);
  EXPECT_EQ(drip.read_response(5).status, 408);
  RawClient idle = server.connect();
  idle.send(get("/health"));
  EXPECT_EQ(idle.read_response().status, 200);
  EXPECT_TRUE(idle.closed(5));
  RawClient silent = server.connect();
  EXPECT_EQ(silent.read_some(5), "");
}

TEST(Connection, TheLongestIdleOneMakesRoom) {
  ServerOptions options;
  options.limits.connections = 3;
  TestServer server(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.connect());
    clients.back().send(i == 0 ? "GET /hea" : get("/health"));
    if (i == 0) continue;
    EXPECT_EQ(clients.back().read_response().status, 200);
  }
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
  EXPECT_TRUE(clients[0].closed());
  clients[2].send(get("/health"));
  EXPECT_EQ(clients[2].read_response().status, 200) << "the others stay";
}

TEST(Connection, WhenAllAreBeingAnsweredNewOnesAreTurnedAway) {
  ServerOptions options;
  options.limits.connections = 3;
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.connect());
    clients.back().send(post("/v1/completions", R"({"prompt":"x"})"));
  }
  ASSERT_TRUE(server.engine().wait_for_running(3));
  const RawResponse refused = server.connect().read_response();
  expect_error(refused, 503, "too_many_connections");
  EXPECT_EQ(refused.field("retry-after"), "1");
  clients.pop_back();
  for (int i = 0; i < 100; ++i) {
    if (server.exchange(get("/health")).status == 200) return;
    usleep(20'000);
  }
  FAIL() << "the closed connection was not given back";
}

TEST(Keys, GuardEveryRouteButTheProbes) {
  ServerOptions options;
  options.api_keys = {plain_key("first"), plain_key("second")};
  TestServer server(options);
  for (const auto& request :
       {get("/v1/models"), get("/metrics"), get("/version"), get("/nope"),
        post("/tokenize", R"({"prompt":"x"})"), post("/detokenize", R"({"tokens":[]})"),
        post("/v1/completions", R"({"prompt":"x"})"), post("/v1/chat/completions", "{}"),
        get("/v1/models", "Authorization: Bearer firs\r\n"),
        get("/v1/models", "Authorization: Bearer firstt\r\n"),
        get("/v1/models", "Authorization: Bearer \r\n"),
        get("/v1/models", "Authorization: first\r\n"),
        get("/v1/models", "Authorization: Basic first\r\n")}) {
    const RawResponse response = server.exchange(request);
    expect_error(response, 401, "invalid_api_key");
    EXPECT_EQ(response.field("www-authenticate"), "Bearer");
  }
  for (const char* key : {"Bearer first", "bearer second", "Bearer  first"}) {
    EXPECT_EQ(
        server.exchange(get("/v1/models", "Authorization: " + std::string(key) + "\r\n")).status,
        200);
  }
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
  EXPECT_EQ(server.exchange(get("/ready")).status, 200);
}

TEST(Cors, IsOffUnlessAnOriginIsNamed) {
  const std::string preflight =
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n";
  TestServer closed;
  EXPECT_EQ(closed.exchange(preflight).field("access-control-allow-origin"), "");
  ServerOptions options;
  options.cors_origins = {"https://a.example"};
  options.api_keys = {plain_key("secret")};
  TestServer open(options);
  const RawResponse allowed = open.exchange(preflight);
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.field("access-control-allow-origin"), "https://a.example");
  EXPECT_THAT(allowed.field("access-control-allow-headers"), HasSubstr("Authorization"));
  const RawResponse other = open.exchange(get("/health", "Origin: https://b.example\r\n"));
  EXPECT_EQ(other.field("access-control-allow-origin"), "");
}

TEST(Listening, SaysWhichAddressIsTaken) {
  TestServer server;
  ServerOptions options;
  options.port = server.http().port();
  const auto second = HttpServer::start(options, std::make_shared<FakeEngine>(fox_script));
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(second.error().where, HasSubstr(std::to_string(options.port)));
  options.host = "203.0.113.1";
  options.port = 0;
  EXPECT_TRUE(HttpServer::start(options, std::make_shared<FakeEngine>(fox_script)).has_error());
}

}  // namespace
}  // namespace bundle::server
