// GET /autoscale: how many replicas the load calls for, and why. Query parameters stand in for
// settings: replicas (how many run now), target_concurrency, target_ttft_seconds, idle_seconds,
// min_replicas, max_replicas.
#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "runtime/server/endpoints.h"

namespace bundle::server {
namespace {

constexpr double kMost = 1e6;

/// Reads numbers of a query; what is malformed is kept as the error.
class QueryReader {
 public:
  explicit QueryReader(std::string_view query) : query_(query) {}

  void number(const char* name, double& target) {
    const auto text = query_value(query_, name);
    if (!text) return;
    double value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    const bool whole = error == std::errc() && end == text->data() + text->size();
    if (whole && value >= 0 && value <= kMost) {
      target = value;
    } else if (!error_) {
      error_ =
          invalid_field(name, fmt::format("'{}' must be a number from 0 to {:g}.", name, kMost));
    }
  }
  void whole(const char* name, std::int64_t& target) {
    auto value = static_cast<double>(target);
    number(name, value);
    target = static_cast<std::int64_t>(value);
  }
  const std::optional<ApiError>& error() const { return error_; }

 private:
  std::string_view query_;
  std::optional<ApiError> error_;
};

Json or_null(double value) { return value < 0 ? Json(nullptr) : Json(value); }

JsonObject signals(const Service& service, const Metrics::Gauges& gauges,
                   const LoadFigures& figures) {
  const engine::EngineStats& stats = gauges.engine;
  const double total = static_cast<double>(std::max<std::int64_t>(stats.kv_blocks_total, 1));
  return {{"running", stats.running},
          {"waiting", service.queue().waiting},
          {"queue_limit", gauges.queue_limit},
          {"concurrency_1m", figures.concurrency},
          {"concurrency_6s", figures.burst},
          {"requests_per_second_1m", figures.requests_per_second},
          {"finished_per_second", figures.finished_per_second},
          {"kv_cache_usage", static_cast<double>(stats.kv_blocks_used) / total},
          {"predicted_wait_seconds", gauges.predicted_wait},
          {"ttft_p95_seconds", or_null(figures.first_token_p95)},
          {"time_per_token_p95_seconds", or_null(figures.token_p95)},
          {"idle_seconds", gauges.idle_seconds},
          {"ready", gauges.ready}};
}

}  // namespace

ReplyResult get_autoscale(Service& service, const HttpRequest& request) {
  ScalingOptions options = service.options().scaling;
  std::int64_t replicas = 1;
  QueryReader query(request.query);
  query.whole("replicas", replicas);
  query.number("target_concurrency", options.target_concurrency);
  query.number("target_ttft_seconds", options.target_ttft_seconds);
  query.number("idle_seconds", options.idle_seconds);
  query.whole("min_replicas", options.min_replicas);
  query.whole("max_replicas", options.max_replicas);
  if (query.error()) return *query.error();
  const ScalingAdvice advice = service.advise(options, std::max<std::int64_t>(replicas, 1));
  const Metrics::Gauges gauges = service.gauges();
  const double slots = static_cast<double>(gauges.engine.max_sequences);
  const double target = options.target_concurrency > 0 ? options.target_concurrency : slots;
  return json_reply(JsonObject{{"replicas", {{"current", replicas}, {"desired", advice.replicas}}},
                               {"objective", advice.objective},
                               {"reason", advice.reason},
                               {"targets",
                                {{"concurrency", target},
                                 {"ttft_seconds", options.target_ttft_seconds},
                                 {"idle_seconds", options.idle_seconds},
                                 {"min_replicas", options.min_replicas},
                                 {"max_replicas", options.max_replicas}}},
                               {"signals", signals(service, gauges, service.load().figures())}});
}

}  // namespace bundle::server
