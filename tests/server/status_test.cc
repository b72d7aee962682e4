#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;

/// Asks until the status is `wanted`, for five seconds: health is looked at once a second.
bool becomes(const TestServer& server, std::string_view path, int wanted) {
  for (int i = 0; i < 100; ++i) {
    if (server.exchange(get(path)).status == wanted) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

TEST(Status, LoadingIsAliveAndNotReady) {
  auto engine = std::make_shared<FakeEngine>(fox_script);
  auto http = *HttpServer::start({}, engine);
  const auto status = [&](const std::string& request) {
    RawClient client(http->port());
    client.send(request);
    return client.read_response();
  };
  EXPECT_EQ(status(get("/health")).status, 200);
  EXPECT_EQ(status(get("/ready")).status, 503);
  EXPECT_EQ(status(get("/live")).status, 200);
  const RawResponse metrics = status(get("/metrics"));
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.body, HasSubstr("bundle_ready 0\n"));
  for (const auto& request : {get("/v1/models"), post("/v1/completions", "{}"), get("/ready")}) {
    const RawResponse refused = status(request);
    EXPECT_EQ(refused.status, 503);
    EXPECT_NE(refused.field("retry-after"), "");
    EXPECT_EQ(refused.json().at("error").at("code"), "model_loading");
  }
  http->set_model(toy_model());
  EXPECT_EQ(status(get("/ready")).status, 200);
}

TEST(Status, ADeadEngineIsNotHealthy) {
  TestServer server;
  ASSERT_TRUE(becomes(server, "/ready", 200));
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  server.engine().set_ready(false);
  const RawResponse health = server.exchange(get("/health"));
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.json().at("error").at("code"), "engine_dead");
  const RawResponse ready = server.exchange(get("/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.json().at("error").at("code"), "engine_restarting");
  EXPECT_EQ(server.exchange(get("/live")).status, 200);
  EXPECT_EQ(server.chat("").status, 503);
  server.engine().set_ready(true);
  EXPECT_EQ(server.exchange(get("/health")).status, 200);
}

TEST(Status, AnEngineThatHangsIsNotHealthy) {
  ServerOptions options;
  options.stall_timeout = std::chrono::milliseconds(500);
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  RawClient client = server.connect();
  client.send(post("/v1/completions", R"({"prompt":"x"})"));
  EXPECT_TRUE(becomes(server, "/live", 503));
  EXPECT_EQ(server.exchange(get("/health")).json().at("error").at("code"), "engine_stalled");
  EXPECT_EQ(server.exchange(get("/ready")).json().at("error").at("code"), "engine_stalled");
  client.close();
  EXPECT_TRUE(becomes(server, "/live", 200));
}

TEST(Status, VersionNamesTheBundle) {
  TestServer server;
  const Json body = server.exchange(get("/version")).json();
  EXPECT_EQ(body.at("content_digest"), Json(toy_model().content_digest));
  EXPECT_TRUE(body.at("version").is_string());
}

TEST(Metrics, ShowWhatHappened) {
  TestServer server;
  server.chat("");
  server.chat(R"("stream":true,"max_tokens":3)");
  const RawResponse response = server.exchange(get("/metrics"));
  ASSERT_EQ(response.status, 200);
  EXPECT_THAT(response.field("content-type"), HasSubstr("version=0.0.4"));
  const std::string label = R"(engine="0",model_name="toy")";
  for (
      const std::string& line : {
          "vllm:num_requests_running{" + label + "} 0",
          "vllm:num_requests_waiting{" + label + "} 0",
          "vllm:kv_cache_usage_perc{" + label + "} 0.25",
          "vllm:generation_tokens_total{" + label + "} 14",
          "vllm:time_to_first_token_seconds_count{" + label + "} 2",
          "vllm:e2e_request_latency_seconds_count{" + label + "} 2",
          "vllm:inter_token_latency_seconds_count{" + label + "} 12",
          "vllm:request_generation_tokens_sum{" + label + "} 15",
          "vllm:gpu_cache_usage_perc{" + label + "} 0.25",
          "vllm:request_queue_time_seconds_count{" + label + "} 2",
          "vllm:request_prefill_time_seconds_count{" + label + "} 2",
          "vllm:request_decode_time_seconds_count{" + label + "} 2",
          "vllm:request_inference_time_seconds_count{" + label + "} 2",
          std::string(R"(vllm:cache_config_info{block_size="16",engine="0",model_name="toy",)") +
              R"(num_gpu_blocks="100"} 1)",
          std::string(R"(http_requests_total{handler="/v1/chat/completions",method="POST",)") +
              R"(status="2xx"} 2)",
          std::string(
              R"(vllm:request_success_total{engine="0",finished_reason="stop",model_name="toy"} 1)"),
          std::string(
              R"(vllm:request_success_total{engine="0",finished_reason="length",model_name="toy"} 1)"),
          std::string(
              R"(vllm:request_success_total{engine="0",finished_reason="abort",model_name="toy"} 0)"),
          std::string(
              R"(bundle_http_requests_total{endpoint="/v1/chat/completions",status="200"} 2)"),
          std::string("bundle_ready 1"),
      }) {
    EXPECT_THAT(response.body, HasSubstr(line + "\n"));
  }
  EXPECT_THAT(response.body, HasSubstr("# TYPE vllm:prompt_tokens_total counter"));
  EXPECT_THAT(response.body, HasSubstr(R"(le="0.001")"));
}

TEST(AdminPort, AnswersProbesWithoutAKeyAndNothingElse) {
  ServerOptions options;
  options.api_keys = {plain_key("secret")};
  options.admin_port = 0;
  TestServer server(options);
  const auto ask = [&](const std::string& request) {
    RawClient client(server.http().admin_port());
    client.send(request);
    return client.read_response();
  };
  for (const char* path : {"/health", "/live", "/ready", "/metrics", "/autoscale", "/version"}) {
    EXPECT_EQ(ask(get(path)).status, 200) << path;
  }
  EXPECT_EQ(ask(get("/v1/models")).status, 404);
  EXPECT_EQ(ask(post("/v1/completions", "{}")).status, 404);
  EXPECT_EQ(server.exchange(get("/metrics")).status, 401);
}

}  // namespace
}  // namespace bundle::server
