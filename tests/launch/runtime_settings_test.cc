#include "runtime/launch/runtime_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::launch {
namespace {

using testing::HasSubstr;

Result<RuntimeSettings> read(const std::string& text) {
  return read_runtime_settings(parse_json(text, "test")->get_object(), "bundle.yaml");
}

std::string refusal(const std::string& text) {
  const auto settings = read(text);
  return settings ? "accepted" : settings.error().message();
}

std::string after(const std::vector<std::string>& assignments) {
  JsonObject runtime;
  for (const std::string& assignment : assignments) {
    const Status status = apply_setting(runtime, assignment);
    if (!status) return status.error().message();
  }
  return print_json(runtime);
}

TEST(RuntimeSettings, NothingSetGivesDefaults) {
  const RuntimeSettings settings = *read("{}");
  EXPECT_EQ(settings.engine.max_context, 0);
  EXPECT_EQ(settings.engine.kv_tokens, 0);
  EXPECT_TRUE(settings.engine.prefix_cache);
  EXPECT_EQ(settings.backend, "auto");
  EXPECT_FALSE(settings.sampling.temperature);
}

TEST(RuntimeSettings, EveryKeyArrives) {
  const RuntimeSettings s = *read(R"({"context_length": 4096, "kv_type": "bf16",
      "kv_tokens": 100000, "max_sequences": 8, "max_step_tokens": 256, "prefix_cache": false,
      "threads": 3, "gpu": 2, "deterministic": true, "chat_template": "{{ x }}", "backend": "cpu-reference",
      "sampling": {"temperature": 0, "top_p": 0.5, "top_k": 7, "min_p": 0.25,
                   "repetition_penalty": 1.5, "max_tokens": 99},
      "server": {"max_queued_requests": 7, "max_connections": 8, "max_body_bytes": 4096,
                 "request_timeout_seconds": 1.5, "target_concurrency": 12,
                 "target_ttft_seconds": 0.5, "idle_seconds": 300, "min_replicas": 1,
                 "max_replicas": 9, "otlp_endpoint": "http://c:4318", "page": false,
                 "webhook_url": "http://w/", "webhook_waiting": 5, "webhook_wait_seconds": 6,
                 "webhook_kv_usage": 0.9, "webhook_idle_seconds": 60}})");
  EXPECT_EQ(s.engine.max_context, 4096);
  EXPECT_EQ(s.engine.kv_type, DType::kBF16);
  EXPECT_EQ(s.engine.kv_tokens, 100000);
  EXPECT_EQ(s.engine.max_sequences, 8);
  EXPECT_EQ(s.engine.max_step_tokens, 256);
  EXPECT_FALSE(s.engine.prefix_cache);
  EXPECT_EQ(s.threads, 3);
  EXPECT_EQ(s.gpu, 2);
  EXPECT_TRUE(s.deterministic);
  EXPECT_EQ(s.chat_template, "{{ x }}");
  EXPECT_EQ(s.backend, "cpu-reference");
  EXPECT_EQ(s.sampling.temperature, 0.0);
  EXPECT_EQ(s.sampling.top_p, 0.5);
  EXPECT_EQ(s.sampling.top_k, 7);
  EXPECT_EQ(s.sampling.min_p, 0.25);
  EXPECT_EQ(s.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(s.max_tokens, 99);
  EXPECT_EQ(s.server.limits.queued_requests, 7);
  EXPECT_EQ(s.server.limits.connections, 8u);
  EXPECT_EQ(s.server.limits.body_bytes, 4096u);
  EXPECT_EQ(s.server.request_timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(s.server.scaling.target_concurrency, 12);
  EXPECT_EQ(s.server.scaling.target_ttft_seconds, 0.5);
  EXPECT_EQ(s.server.scaling.idle_seconds, 300);
  EXPECT_EQ(s.server.scaling.min_replicas, 1);
  EXPECT_EQ(s.server.scaling.max_replicas, 9);
  EXPECT_EQ(s.server.otlp_endpoint, "http://c:4318");
  EXPECT_FALSE(s.server.page);
  EXPECT_EQ(s.server.webhook.url, "http://w/");
  EXPECT_EQ(s.server.webhook.waiting, 5);
  EXPECT_EQ(s.server.webhook.wait_seconds, 6);
  EXPECT_EQ(s.server.webhook.kv_usage, 0.9);
  EXPECT_EQ(s.server.webhook.idle_seconds, 60);
}

TEST(RuntimeSettings, NullCountsAsAbsent) {
  EXPECT_EQ(read(R"({"context_length": null, "sampling": null})")->engine.max_context, 0);
}

TEST(RuntimeSettings, UnknownKeysAreRefusedWithTheNearest) {
  EXPECT_THAT(refusal(R"({"contxt_length": 1})"), HasSubstr("runtime.contxt_length"));
  EXPECT_THAT(refusal(R"({"contxt_length": 1})"), HasSubstr("runtime.context_length?"));
  EXPECT_THAT(refusal(R"({"contxt_length": 1})"), HasSubstr("bundle.yaml"));
  EXPECT_THAT(refusal(R"({"sampling": {"topp": 1}})"), HasSubstr("sampling.top_p?"));
  EXPECT_THAT(refusal(R"({"zzzzzz": 1})"), HasSubstr("Known keys"));
}

TEST(RuntimeSettings, WrongTypesAndRangesAreRefusedByKey) {
  EXPECT_THAT(refusal(R"({"context_length": "4096"})"), HasSubstr("a whole number from 1"));
  EXPECT_THAT(refusal(R"({"context_length": 4096.0})"), HasSubstr("context_length"));
  EXPECT_THAT(refusal(R"({"context_length": 0})"), HasSubstr("context_length"));
  EXPECT_THAT(refusal(R"({"context_length": -5})"), HasSubstr("context_length"));
  EXPECT_THAT(refusal(R"({"context_length": 18446744073709551615})"), HasSubstr("context_length"));
  EXPECT_THAT(refusal(R"({"prefix_cache": 1})"), HasSubstr("true or false"));
  EXPECT_THAT(refusal(R"({"kv_type": "q8_0"})"), HasSubstr("f16, bf16, f32"));
  EXPECT_THAT(refusal(R"({"kv_type": 3})"), HasSubstr("kv_type"));
  EXPECT_THAT(refusal(R"({"chat_template": 3})"), HasSubstr("a text"));
  EXPECT_THAT(refusal(R"({"sampling": 3})"), HasSubstr("sampling"));
  EXPECT_THAT(refusal(R"({"sampling": {"top_p": 1.5}})"), HasSubstr("from 0 to 1"));
  EXPECT_THAT(refusal(R"({"sampling": {"top_p": {}}})"), HasSubstr("top_p"));
}

TEST(RuntimeSettings, ValuesThatContradictEachOtherAreRefused) {
  EXPECT_THAT(refusal(R"({"server": {"min_replicas": 3, "max_replicas": 2}})"),
              HasSubstr("min_replicas is over max_replicas"));
  EXPECT_THAT(refusal(R"({"parallel": {"tensor": 4, "expert": 3}})"), HasSubstr("divisor"));
}

TEST(RuntimeSettings, AddressesAreCheckedBeforeTheyAreNeeded) {
  for (const char* address : {"nonsense", "ftp://a/b", "http://", "http://a:99999/x"}) {
    for (const char* key : {"webhook_url", "otlp_endpoint"}) {
      EXPECT_THAT(refusal(R"({"server": {")" + std::string(key) + R"(": ")" + address + R"("}})"),
                  HasSubstr("runtime.server." + std::string(key)))
          << address;
    }
  }
}

TEST(ApplySetting, ReadsTheTextAsTheKeysType) {
  EXPECT_EQ(after({"context_length=4096"}), R"({"context_length":4096})");
  EXPECT_EQ(after({"runtime.context_length=4096"}), R"({"context_length":4096})");
  EXPECT_EQ(after({"prefix_cache=false"}), R"({"prefix_cache":false})");
  EXPECT_EQ(after({"chat_template=a=b"}), R"({"chat_template":"a=b"})");
  EXPECT_EQ(after({"chat_template=5"}), R"({"chat_template":"5"})");
  EXPECT_EQ(after({"sampling.top_p=0.5", "runtime.sampling.top_k=3"}),
            R"({"sampling":{"top_p":0.5,"top_k":3}})");
}

TEST(ApplySetting, TheLastOneWins) {
  EXPECT_EQ(after({"threads=1", "threads=2"}), R"({"threads":2})");
}

TEST(ApplySetting, RefusesWhatItCannotRead) {
  EXPECT_THAT(after({"context_length"}), HasSubstr("key=value"));
  EXPECT_THAT(after({"context_length="}), HasSubstr("whole number"));
  EXPECT_THAT(after({"context_length=4k"}), HasSubstr("whole number"));
  EXPECT_THAT(after({"context_length=010"}), HasSubstr("whole number"));
  EXPECT_THAT(after({"context_length=1e3"}), HasSubstr("whole number"));
  EXPECT_THAT(after({"context_length=99999999999999999999"}), HasSubstr("whole number"));
  EXPECT_THAT(after({"prefix_cache=yes"}), HasSubstr("true or false"));
  EXPECT_THAT(after({"kv_type=int4"}), HasSubstr("one of"));
  EXPECT_THAT(after({"sampling.top_p=nan"}), HasSubstr("top_p"));
  EXPECT_THAT(after({"sampling.top_p=2"}), HasSubstr("from 0 to 1"));
  EXPECT_THAT(after({"thread=2"}), HasSubstr("runtime.threads?"));
  EXPECT_THAT(after({"=2"}), HasSubstr("unknown key"));
}

}  // namespace
}  // namespace bundle::launch
