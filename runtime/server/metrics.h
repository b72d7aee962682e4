// What /metrics shows: vLLM's names, so that existing scalers, gateways and dashboards work, and
// our own (`bundle_…`) for what vLLM has no name for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/engine/request.h"

namespace bundle::server {

/// One answer's figures, recorded when it is over. Times in seconds.
struct RequestFigures {
  double end_to_end = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt
  std::int64_t max_tokens = 0;     // that a choice was allowed
  std::int64_t choices = 1;
  double time_per_token = -1;  // after the first; -1: there was no second
  // Of the first choice; -1: it did not come so far.
  double queued = -1;
  double prefill = -1;
  double decode = -1;
  std::string key;  // name of the API key; "": none
};

/// Counters and histograms of one served model. Thread-safe.
class Metrics {
 public:
  Metrics(const std::string& model_name, const std::string& version,
          const std::string& content_digest);
  ~Metrics();

  void first_token(double seconds);
  void next_tokens(double seconds, std::size_t tokens);
  /// `reason`: "stop", "length", "abort", "error" or "deadline"; once a choice.
  void choice_finished(const char* reason);
  void request_finished(const RequestFigures& figures);
  void rejected(const std::string& reason);
  void http_answered(const std::string& endpoint, const std::string& method, int status);

  struct Gauges {
    engine::EngineStats engine;
    std::int64_t restarts = 0;
    std::int64_t connections = 0;
    bool ready = false;
    bool alive = true;
    bool draining = false;
    std::int64_t queue_limit = 0;
    double predicted_wait = 0;
    double idle_seconds = 0;
    std::int64_t desired_replicas = 1;
  };
  /// The page in Prometheus' text format.
  std::string page(const Gauges& gauges) const;
  /// The page before there is a model.
  static std::string page_without_model(const Gauges& gauges);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::server
