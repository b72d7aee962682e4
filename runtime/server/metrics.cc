#include "runtime/server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace bundle::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using Labels = prometheus::Labels;
using Families = std::vector<prometheus::MetricFamily>;

// vLLM 0.33's, in seconds: dashboards compare servers bucket by bucket.
const Buckets kFirstToken = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                             1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Buckets kInterToken = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                             .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
const Buckets kRequest = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                          30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Buckets kTokens = {1,   2,    5,    10,   20,    50,    100,   200,
                         500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
const Buckets kChoices = {1, 2, 5, 10, 20};

prometheus::Histogram& histogram(prometheus::Registry& registry, const Labels& labels,
                                 const char* name, const char* help, const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

/// A family of one sample, made from a number that is counted elsewhere.
void add(Families& out, const Labels& labels, const char* name, const char* help,
         prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  for (const auto& [key, label] : labels) metric.label.push_back({key, label});
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  out.push_back({name, help, type, {std::move(metric)}});
}

void add_engine(Families& out, const Labels& labels, const engine::EngineStats& stats) {
  const auto gauge = [&](const char* name, const char* help, double value) {
    add(out, labels, name, help, prometheus::MetricType::Gauge, value);
  };
  const auto counter = [&](const char* name, const char* help, std::int64_t value) {
    add(out, labels, name, help, prometheus::MetricType::Counter, static_cast<double>(value));
  };
  const double used = stats.kv_blocks_total == 0 ? 0
                                                 : static_cast<double>(stats.kv_blocks_used) /
                                                       static_cast<double>(stats.kv_blocks_total);
  gauge("vllm:num_requests_running", "Requests in the running batch.",
        static_cast<double>(stats.running));
  gauge("vllm:num_requests_waiting", "Requests waiting to be run.",
        static_cast<double>(stats.waiting));
  gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1.", used);
  counter("vllm:num_preemptions_total", "Requests put back to make room.", stats.preemptions);
  counter("vllm:prompt_tokens_total", "Prompt tokens processed.", stats.prompt_tokens);
  counter("vllm:generation_tokens_total", "Tokens generated.", stats.generated_tokens);
  counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.",
          stats.prefix_queries);
  counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.", stats.prefix_hits);
  counter("bundle_engine_steps_total", "Steps the engine took.", stats.steps);
}

void add_cache_config(Families& out, Labels labels, const engine::EngineStats& stats) {
  labels.emplace("block_size", std::to_string(stats.kv_block_tokens));
  labels.emplace("num_gpu_blocks", std::to_string(stats.kv_blocks_total));
  add(out, labels, "vllm:cache_config_info", "Size of the KV cache.", prometheus::MetricType::Gauge,
      1);
}

}  // namespace

struct Metrics::State {
  State(const std::string& model, const std::string& version, const std::string& digest)
      : labels({{"model_name", model}, {"engine", "0"}}),
        info({{"version", version}, {"content_digest", digest}, {"model_name", model}}) {
    for (const char* reason : {"stop", "length", "abort", "error"}) {
      (void)successes.Add(with("finished_reason", reason));
    }
  }

  Labels with(const std::string& key, const std::string& value) const {
    Labels out = labels;
    out.emplace(key, value);
    return out;
  }

  Labels labels;
  Labels info;
  prometheus::Registry registry;
  prometheus::Histogram& first_token =
      histogram(registry, labels, "vllm:time_to_first_token_seconds",
                "From the request to its first token.", kFirstToken);
  prometheus::Histogram& inter_token =
      histogram(registry, labels, "vllm:inter_token_latency_seconds",
                "Between two tokens of one choice.", kInterToken);
  prometheus::Histogram& per_token =
      histogram(registry, labels, "vllm:request_time_per_output_token_seconds",
                "Mean time a token, after the first.", kInterToken);
  prometheus::Histogram& end_to_end =
      histogram(registry, labels, "vllm:e2e_request_latency_seconds",
                "From the request to its last token.", kRequest);
  prometheus::Histogram& prompt = histogram(registry, labels, "vllm:request_prompt_tokens",
                                            "Prompt tokens of a request.", kTokens);
  prometheus::Histogram& generation = histogram(registry, labels, "vllm:request_generation_tokens",
                                                "Generated tokens of a request.", kTokens);
  prometheus::Histogram& choices =
      histogram(registry, labels, "vllm:request_params_n", "Choices asked for.", kChoices);
  prometheus::Family<prometheus::Counter>& successes = prometheus::BuildCounter()
                                                           .Name("vllm:request_success_total")
                                                           .Help("Choices finished, by reason.")
                                                           .Register(registry);
  prometheus::Family<prometheus::Counter>& rejections =
      prometheus::BuildCounter()
          .Name("bundle_rejected_requests_total")
          .Help("Requests refused for lack of room, by reason.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& answers =
      prometheus::BuildCounter()
          .Name("bundle_http_requests_total")
          .Help("Requests answered, by endpoint and status.")
          .Register(registry);
};

Metrics::Metrics(const std::string& model_name, const std::string& version,
                 const std::string& content_digest)
    : state_(std::make_unique<State>(model_name, version, content_digest)) {}
Metrics::~Metrics() = default;

void Metrics::first_token(double seconds) { state_->first_token.Observe(seconds); }

void Metrics::next_tokens(double seconds, std::size_t tokens) {
  for (std::size_t i = 0; i < tokens; ++i) {
    state_->inter_token.Observe(seconds / static_cast<double>(tokens));
  }
}

void Metrics::choice_finished(const char* reason) {
  state_->successes.Add(state_->with("finished_reason", reason)).Increment();
}

void Metrics::request_finished(const RequestFigures& figures) {
  state_->end_to_end.Observe(figures.end_to_end);
  state_->prompt.Observe(static_cast<double>(figures.prompt_tokens));
  state_->generation.Observe(static_cast<double>(figures.completion_tokens));
  state_->choices.Observe(static_cast<double>(figures.choices));
  if (figures.time_per_token >= 0) state_->per_token.Observe(figures.time_per_token);
}

void Metrics::rejected(const char* reason) {
  state_->rejections.Add({{"reason", reason}}).Increment();
}

void Metrics::http_answered(const std::string& endpoint, int status) {
  state_->answers.Add({{"endpoint", endpoint}, {"status", std::to_string(status)}}).Increment();
}

std::string Metrics::page(const Gauges& gauges) const {
  Families families = state_->registry.Collect();
  add_engine(families, state_->labels, gauges.engine);
  add_cache_config(families, state_->labels, gauges.engine);
  add(families, {}, "bundle_engine_restarts_total", "Engines started after one died.",
      prometheus::MetricType::Counter, static_cast<double>(gauges.restarts));
  add(families, {}, "bundle_http_connections", "Connections open now.",
      prometheus::MetricType::Gauge, static_cast<double>(gauges.connections));
  add(families, {}, "bundle_ready", "1 while requests are taken.", prometheus::MetricType::Gauge,
      gauges.ready ? 1 : 0);
  add(families, state_->info, "bundle_info", "What runs here.", prometheus::MetricType::Gauge, 1);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace bundle::server
