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

/// Adds families of one sample with the same labels.
class Samples {
 public:
  Samples(Families& out, const Labels& labels) : out_(out), labels_(labels) {}

  void gauge(const char* name, const char* help, double value) {
    add(out_, labels_, name, help, prometheus::MetricType::Gauge, value);
  }
  void counter(const char* name, const char* help, std::int64_t value) {
    add(out_, labels_, name, help, prometheus::MetricType::Counter, static_cast<double>(value));
  }

 private:
  Families& out_;
  const Labels& labels_;
};

void add_engine(Families& out, const Labels& labels, const engine::EngineStats& stats) {
  Samples samples(out, labels);
  const double used = stats.kv_blocks_total == 0 ? 0
                                                 : static_cast<double>(stats.kv_blocks_used) /
                                                       static_cast<double>(stats.kv_blocks_total);
  samples.gauge("vllm:num_requests_running", "Requests in the running batch.",
                static_cast<double>(stats.running));
  samples.gauge("vllm:num_requests_waiting", "Requests waiting to be run.",
                static_cast<double>(stats.waiting));
  samples.gauge("vllm:kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1.", used);
  samples.gauge("vllm:gpu_cache_usage_perc", "The older name of vllm:kv_cache_usage_perc.", used);
  samples.counter("vllm:num_preemptions_total", "Requests put back to make room.",
                  stats.preemptions);
  samples.counter("vllm:prompt_tokens_total", "Prompt tokens processed.", stats.prompt_tokens);
  samples.counter("vllm:prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.",
                  stats.prefix_hits);
  samples.counter("vllm:generation_tokens_total", "Tokens generated.", stats.generated_tokens);
  samples.counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.",
                  stats.prefix_queries);
  samples.counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.",
                  stats.prefix_hits);
  samples.counter("vllm:spec_decode_num_drafts_total", "Steps that had guessed tokens to check.",
                  stats.drafts);
  samples.counter("vllm:spec_decode_num_draft_tokens_total", "Guessed tokens that were checked.",
                  stats.draft_tokens);
  samples.counter("vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.",
                  stats.accepted_tokens);
  samples.counter("bundle_engine_steps_total", "Steps the engine took.", stats.steps);
}

/// A family whose samples differ in one more label.
void add_by(Families& out, const Labels& labels, const char* name, const char* help,
            const std::string& label, const std::vector<std::pair<std::string, double>>& values) {
  prometheus::MetricFamily family{name, help, prometheus::MetricType::Gauge, {}};
  for (const auto& [kind, value] : values) {
    prometheus::ClientMetric metric;
    for (const auto& [key, text] : labels) metric.label.push_back({key, text});
    metric.label.push_back({label, kind});
    metric.gauge.value = value;
    family.metric.push_back(std::move(metric));
  }
  out.push_back(std::move(family));
}

/// What vLLM's dashboards and gateways expect to be there.
void add_states(Families& out, const Labels& labels, const engine::EngineStats& stats) {
  add_by(out, labels, "vllm:num_requests_waiting_by_reason", "Requests waiting, by reason.",
         "reason", {{"capacity", static_cast<double>(stats.waiting)}, {"deferred", 0}});
  add_by(out, labels, "vllm:engine_sleep_state", "1 for the state that the engine is in.",
         "sleep_state", {{"awake", 1}, {"weights_offloaded", 0}, {"discard_all", 0}});
  Labels lora = labels;
  lora.insert({{"max_lora", "0"}, {"running_lora_adapters", ""}, {"waiting_lora_adapters", ""}});
  add(out, lora, "vllm:lora_requests_info", "Adapters in use: none.", prometheus::MetricType::Gauge,
      0);
}

void add_cache_config(Families& out, Labels labels, const engine::EngineStats& stats) {
  labels.emplace("block_size", std::to_string(stats.kv_block_tokens));
  labels.emplace("num_gpu_blocks", std::to_string(stats.kv_blocks_total));
  add(out, labels, "vllm:cache_config_info", "Size of the KV cache.", prometheus::MetricType::Gauge,
      1);
}

void add_server(Families& out, const Metrics::Gauges& gauges) {
  const Labels none;
  Samples samples(out, none);
  samples.counter("bundle_engine_restarts_total", "Engines started after one died.",
                  gauges.restarts);
  samples.gauge("bundle_http_connections", "Connections open now.",
                static_cast<double>(gauges.connections));
  samples.gauge("bundle_ready", "1 while requests are taken.", gauges.ready ? 1 : 0);
  samples.gauge("bundle_alive", "0 when only a restart can help.", gauges.alive ? 1 : 0);
  samples.gauge("bundle_draining", "1 after the signal to stop.", gauges.draining ? 1 : 0);
  samples.gauge("bundle_queue_limit", "Requests that may wait.",
                static_cast<double>(gauges.queue_limit));
  samples.gauge("bundle_predicted_wait_seconds", "Before a new request would begin to run.",
                gauges.predicted_wait);
  samples.gauge("bundle_idle_seconds", "Since the last request, arriving or at work.",
                gauges.idle_seconds);
  samples.gauge("bundle_desired_replicas", "That the load of this replica alone calls for.",
                static_cast<double>(gauges.desired_replicas));
}

}  // namespace

struct Metrics::State {
  State(const std::string& model, const std::string& version, const std::string& digest)
      : labels({{"model_name", model}, {"engine", "0"}}),
        info({{"version", version}, {"content_digest", digest}, {"model_name", model}}) {
    for (const char* reason : {"stop", "length", "abort", "error", "refused", "deadline"}) {
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
  prometheus::Histogram& queue = histogram(registry, labels, "vllm:request_queue_time_seconds",
                                           "Before the request was let in.", kRequest);
  prometheus::Histogram& prefill = histogram(registry, labels, "vllm:request_prefill_time_seconds",
                                             "From being let in to the first token.", kRequest);
  prometheus::Histogram& decode = histogram(registry, labels, "vllm:request_decode_time_seconds",
                                            "From the first token to the last.", kRequest);
  prometheus::Histogram& inference =
      histogram(registry, labels, "vllm:request_inference_time_seconds",
                "From being let in to the last token.", kRequest);
  prometheus::Histogram& most_tokens = histogram(registry, labels, "vllm:request_params_max_tokens",
                                                 "Tokens that a choice was allowed.", kTokens);
  prometheus::Histogram& computed =
      histogram(registry, labels, "vllm:request_prefill_kv_computed_tokens",
                "Prompt tokens that were not cached.", kTokens);
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
  prometheus::Family<prometheus::Counter>& key_requests =
      prometheus::BuildCounter()
          .Name("bundle_key_requests_total")
          .Help("Requests that were answered, by API key.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& key_tokens =
      prometheus::BuildCounter()
          .Name("bundle_key_tokens_total")
          .Help("Tokens of prompts and outputs, by API key.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& admissions =
      prometheus::BuildCounter()
          .Name("vllm:admission_rejections_total")
          .Help("Requests refused because the queue was full.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& http =
      prometheus::BuildCounter()
          .Name("http_requests_total")
          .Help("Requests answered, by handler, method and kind of status.")
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
  const auto count = [](std::int64_t tokens) { return static_cast<double>(tokens); };
  state_->end_to_end.Observe(figures.end_to_end);
  state_->prompt.Observe(count(figures.prompt_tokens));
  state_->computed.Observe(count(figures.prompt_tokens - figures.cached_tokens));
  state_->generation.Observe(count(figures.completion_tokens));
  state_->most_tokens.Observe(count(figures.max_tokens));
  state_->choices.Observe(count(figures.choices));
  if (figures.time_per_token >= 0) state_->per_token.Observe(figures.time_per_token);
  if (figures.queued >= 0) state_->queue.Observe(figures.queued);
  if (figures.prefill >= 0) state_->prefill.Observe(figures.prefill);
  if (figures.decode >= 0) {
    state_->decode.Observe(figures.decode);
    state_->inference.Observe(figures.prefill + figures.decode);
  }
  if (figures.key.empty()) return;
  state_->key_requests.Add({{"key", figures.key}}).Increment();
  state_->key_tokens.Add({{"key", figures.key}})
      .Increment(count(figures.prompt_tokens + figures.completion_tokens));
}

void Metrics::rejected(const std::string& reason) {
  state_->rejections.Add({{"reason", reason}}).Increment();
  if (reason != "overloaded") return;
  state_->admissions.Add(state_->with("reason", "max_num_queued_reqs")).Increment();
}

void Metrics::http_answered(const std::string& endpoint, const std::string& method, int status) {
  state_->answers.Add({{"endpoint", endpoint}, {"status", std::to_string(status)}}).Increment();
  state_->http
      .Add({{"handler", endpoint},
            {"method", method},
            {"status", std::to_string(status / 100) + "xx"}})
      .Increment();
}

std::string Metrics::page(const Gauges& gauges) const {
  Families families = state_->registry.Collect();
  add_engine(families, state_->labels, gauges.engine);
  add_states(families, state_->labels, gauges.engine);
  add_cache_config(families, state_->labels, gauges.engine);
  add_server(families, gauges);
  add(families, state_->info, "bundle_info", "What runs here.", prometheus::MetricType::Gauge, 1);
  return prometheus::TextSerializer().Serialize(families);
}

std::string Metrics::page_without_model(const Gauges& gauges) {
  Families families;
  add_server(families, gauges);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace bundle::server
