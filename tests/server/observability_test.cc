// The access log and traces: what they say, and what they never say.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/file.h"
#include "runtime/server/access_log.h"
#include "tests/golden/temp_folder.h"
#include "tests/server/fixture.h"
#include "tests/server/http_sink.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kChat[] =
    R"({"model":"toy","messages":[{"role":"user","content":"pssst"}],"max_tokens":4})";

/// The log's lines, once there are `count`.
std::vector<Json> lines_of(const Path& file, std::size_t count) {
  std::string text;
  for (int i = 0; i < 500; ++i) {
    text = read_file(file).value();
    if (static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) >= count) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::vector<Json> lines;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    lines.push_back(*parse_json(text.substr(at, end - at), "access log"));
  }
  return lines;
}

TEST(AccessLog, HasALineForEachRequest) {
  const golden::TempFolder folder;
  ServerOptions options;
  options.access_log = (folder.path() / "access.log").string();
  options.api_keys = {plain_key("sk-secret")};
  options.api_keys[0].name = "alice";
  const TestServer server(options);
  const std::string key = "Authorization: Bearer sk-secret\r\n";
  server.exchange(
      post("/v1/chat/completions", kChat,
           key + "X-Request-Id: mine\r\ntraceparent: 00-" + kTrace + "-00f067aa0ba902b7-01\r\n"));
  server.exchange(get("/v1/models?key=value", "Authorization: Bearer wrong\r\n"));
  server.exchange("BROKEN\r\n\r\n");
  const auto lines = lines_of(options.access_log, 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("request_id"), "mine");
  EXPECT_EQ(lines[0].at("trace_id"), kTrace);
  EXPECT_EQ(lines[0].at("key"), "alice");
  EXPECT_EQ(lines[0].at("peer"), "127.0.0.1");
  EXPECT_EQ(lines[0].at("path"), "/v1/chat/completions");
  EXPECT_EQ(lines[0].at("status"), 200);
  EXPECT_EQ(lines[0].at("finish"), "length");
  EXPECT_EQ(lines[0].at("completion_tokens"), 4);
  EXPECT_GT(lines[0].at("bytes").to_number<int>(), 100);
  EXPECT_GE(lines[0].at("duration_ms").to_number<double>(),
            lines[0].at("first_token_ms").to_number<double>());
  EXPECT_EQ(lines[1].at("status"), 401);
  EXPECT_EQ(lines[1].at("path"), "/v1/models");
  EXPECT_EQ(lines[2].at("status"), 400);
  const std::string text = *read_file(options.access_log);
  for (const char* secret : {"pssst", "fox", "sk-secret", "wrong", "value"}) {
    EXPECT_THAT(text, Not(HasSubstr(secret)));
  }
}

TEST(AccessLog, SaysWhenTheClientLeft) {
  const golden::TempFolder folder;
  ServerOptions options;
  options.access_log = (folder.path() / "access.log").string();
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  RawClient client = server.connect();
  client.send(post("/v1/chat/completions", kChat));
  ASSERT_TRUE(server.engine().wait_for_running(1));
  client.close();
  const auto lines = lines_of(options.access_log, 1);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("client_left"), true);
  EXPECT_EQ(lines[0].at("finish"), "abort");
}

TEST(AccessLog, CannotBeOpenedSaysWhere) {
  const auto log = AccessLog::open("/nonexistent/access.log");
  ASSERT_TRUE(log.has_error());
  EXPECT_EQ(log.error().where, "/nonexistent/access.log");
}

TEST(Traces, GoToTheCollector) {
  const HttpSink collector;
  ServerOptions options;
  options.otlp_endpoint = collector.url("");
  const TestServer server(options);
  server.exchange(post(
      "/v1/chat/completions", kChat,
      std::string("tracestate: a=b\r\ntraceparent: 00-") + kTrace + "-00f067aa0ba902b7-01\r\n"));
  server.exchange(post("/v1/chat/completions", kChat,
                       std::string("traceparent: 00-") + kTrace + "-00f067aa0ba902b7-00\r\n"));
  const auto bodies = collector.wait_for(1);
  ASSERT_EQ(bodies.size(), 1u);
  EXPECT_THAT(bodies[0], Not(HasSubstr("pssst")));
  const Json document = *parse_json(bodies[0], "spans");
  const auto& spans =
      document.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array();
  ASSERT_EQ(spans.size(), 3u) << "request, prefill, decode; the second was not sampled";
  EXPECT_EQ(spans[0].at("traceId"), kTrace);
  EXPECT_EQ(spans[0].at("parentSpanId"), "00f067aa0ba902b7");
  EXPECT_EQ(spans[0].at("traceState"), "a=b");
  EXPECT_EQ(spans[0].at("name"), "POST /v1/chat/completions");
  EXPECT_EQ(spans[0].at("kind"), 2);
  EXPECT_THAT(print_json(spans[0].at("attributes")),
              HasSubstr(R"({"key":"gen_ai.usage.output_tokens","value":{"intValue":"4"}})"));
  for (std::size_t i = 1; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].at("parentSpanId"), spans[0].at("spanId"));
    EXPECT_LE(std::string(spans[i].at("startTimeUnixNano").as_string()),
              std::string(spans[i].at("endTimeUnixNano").as_string()));
  }
}

TEST(Traces, AMalformedParentCountsAsNone) {
  HttpRequest request;
  const auto trace = [&](const std::string& parent) {
    request.fields = {{"traceparent", parent}};
    return trace_of(request);
  };
  const std::string good = std::string("00-") + kTrace + "-00f067aa0ba902b7-01";
  EXPECT_EQ(trace(good).trace_id, kTrace);
  EXPECT_FALSE(trace(std::string("00-") + kTrace + "-00f067aa0ba902b7-02").sampled);
  EXPECT_EQ(trace("cc" + good.substr(2) + "-more").trace_id, kTrace) << "a later version";
  for (const std::string& bad :
       {std::string(), "ff" + good.substr(2), good + "-more", good.substr(1),
        "00_" + good.substr(3), std::string("00-") + std::string(32, '0') + "-00f067aa0ba902b7-01",
        std::string("00-") + kTrace + "-0000000000000000-01",
        std::string("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")}) {
    const TraceContext context = trace(bad);
    EXPECT_NE(context.trace_id, kTrace) << bad;
    EXPECT_EQ(context.trace_id.size(), 32u);
    EXPECT_EQ(context.parent_span_id, "");
  }
}

}  // namespace
}  // namespace bundle::server
