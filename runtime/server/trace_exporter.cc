#include "runtime/server/trace_exporter.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/server/post.h"
#include "runtime/server/random_id.h"

namespace bundle::server {
namespace {

constexpr std::size_t kMostWaiting = 4096;  // spans of requests; more are dropped
constexpr auto kInterval = std::chrono::seconds(1);
constexpr int kServer = 2;    // SPAN_KIND_SERVER
constexpr int kInternal = 1;  // SPAN_KIND_INTERNAL

std::string url_of(std::string endpoint) {
  constexpr std::string_view kPath = "/v1/traces";
  if (endpoint.empty() || endpoint.ends_with(kPath)) return endpoint;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint + std::string(kPath);
}

JsonObject attribute(const char* key, std::string_view text) {
  return {{"key", key}, {"value", {{"stringValue", replace_invalid_utf8(text)}}}};
}

/// OTLP's JSON form writes 64-bit numbers as text.
JsonObject attribute(const char* key, std::int64_t value) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(value)}}}};
}

/// Nanoseconds since 1970 at `seconds` after the request came.
std::string nanoseconds(const RequestRecord& record, double seconds) {
  const auto start =
      std::chrono::duration_cast<std::chrono::nanoseconds>(record.arrived.time_since_epoch());
  return std::to_string(start.count() + static_cast<std::int64_t>(seconds * 1e9));
}

JsonArray attributes(const RequestRecord& record) {
  JsonArray out{attribute("http.request.method", record.method),
                attribute("http.route", record.route),
                attribute("http.response.status_code", std::int64_t{record.status}),
                attribute("client.address", record.peer),
                attribute("http.request.header.x-request-id", record.id)};
  if (!record.generated) return out;
  const GenerationRecord& generation = record.generation;
  out.push_back(attribute("gen_ai.provider.name", "bundle"));
  out.push_back(attribute("gen_ai.request.model", generation.model));
  out.push_back(attribute("gen_ai.usage.input_tokens", generation.prompt_tokens));
  out.push_back(attribute("gen_ai.usage.output_tokens", generation.completion_tokens));
  out.push_back(attribute("gen_ai.usage.cache_read.input_tokens", generation.cached_tokens));
  const JsonArray reasons{JsonObject{{"stringValue", generation.finish}}};
  out.push_back(JsonObject{{"key", "gen_ai.response.finish_reasons"},
                           {"value", {{"arrayValue", {{"values", reasons}}}}}});
  return out;
}

JsonObject request_span(const RequestRecord& record) {
  JsonObject span{{"traceId", record.trace.trace_id},
                  {"spanId", record.trace.span_id},
                  {"name", record.method + " " + (record.route.empty() ? "*" : record.route)},
                  {"kind", kServer},
                  {"startTimeUnixNano", nanoseconds(record, 0)},
                  {"endTimeUnixNano", nanoseconds(record, record.seconds)},
                  {"attributes", attributes(record)},
                  {"status", {{"code", record.status >= 500 ? 2 : 0}}}};
  if (!record.trace.parent_span_id.empty()) span["parentSpanId"] = record.trace.parent_span_id;
  if (!record.trace.state.empty()) span["traceState"] = record.trace.state;
  return span;
}

JsonObject phase_span(const RequestRecord& record, const char* name, double from, double to) {
  return {{"traceId", record.trace.trace_id},
          {"spanId", random_id("").substr(0, 16)},
          {"parentSpanId", record.trace.span_id},
          {"name", name},
          {"kind", kInternal},
          {"startTimeUnixNano", nanoseconds(record, from)},
          {"endTimeUnixNano", nanoseconds(record, to)}};
}

void add_spans(JsonArray& out, const RequestRecord& record) {
  out.push_back(request_span(record));
  const GenerationRecord& generation = record.generation;
  if (!record.generated || generation.first_token < 0) return;
  if (generation.queued > 0) out.push_back(phase_span(record, "queue", 0, generation.queued));
  out.push_back(
      phase_span(record, "prefill", std::max(generation.queued, 0.0), generation.first_token));
  out.push_back(phase_span(record, "decode", generation.first_token, generation.last_token));
}

}  // namespace

std::string otlp_document(const std::vector<RequestRecord>& records, const std::string& version) {
  JsonArray spans;
  for (const RequestRecord& record : records) add_spans(spans, record);
  const JsonObject resource{{"attributes", JsonArray{attribute("service.name", "bundle"),
                                                     attribute("service.version", version)}}};
  const JsonObject scope{{"scope", {{"name", "bundle.server"}, {"version", version}}},
                         {"spans", std::move(spans)}};
  return print_json(JsonObject{
      {"resourceSpans",
       JsonArray{JsonObject{{"resource", resource}, {"scopeSpans", JsonArray{scope}}}}}});
}

TraceExporter::TraceExporter(const std::string& endpoint, std::string version)
    : url_(url_of(endpoint)), version_(std::move(version)) {
  if (enabled()) thread_ = std::thread([this] { loop(); });
}

TraceExporter::~TraceExporter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void TraceExporter::add(RequestRecord record) {
  if (!enabled() || !record.trace.sampled) return;
  const std::lock_guard lock(mutex_);
  if (waiting_.size() < kMostWaiting) waiting_.push_back(std::move(record));
}

void TraceExporter::loop() {
  std::unique_lock lock(mutex_);
  while (!stop_ || !waiting_.empty()) {
    changed_.wait_for(lock, kInterval, [this] { return stop_; });
    if (waiting_.empty()) continue;
    const std::vector<RequestRecord> batch = std::exchange(waiting_, {});
    lock.unlock();
    send(batch);
    lock.lock();
  }
}

/// Says once that the collector is away, and once that it is back.
void TraceExporter::send(const std::vector<RequestRecord>& batch) {
  const auto status = post_json(url_, otlp_document(batch, version_), kInterval);
  const bool failed = !status || *status / 100 != 2;
  if (failed == std::exchange(failing_, failed)) return;
  if (failed) log_warning("the trace collector takes no spans; they are dropped until it does");
  if (!failed) log_info("the trace collector takes spans again");
}

}  // namespace bundle::server
