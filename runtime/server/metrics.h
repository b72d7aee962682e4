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
  std::int64_t choices = 1;
  double time_per_token = -1;  // after the first; -1: there was no second
};

/// Counters and histograms of one served model. Thread-safe.
class Metrics {
 public:
  Metrics(const std::string& model_name, const std::string& version,
          const std::string& content_digest);
  ~Metrics();

  void first_token(double seconds);
  void next_tokens(double seconds, std::size_t tokens);
  /// `reason`: "stop", "length", "abort" or "error"; once a choice.
  void choice_finished(const char* reason);
  void request_finished(const RequestFigures& figures);
  void rejected(const char* reason);
  void http_answered(const std::string& endpoint, int status);

  struct Gauges {
    engine::EngineStats engine;
    std::int64_t restarts = 0;
    std::int64_t connections = 0;
    bool ready = false;
  };
  /// The page in Prometheus' text format.
  std::string page(const Gauges& gauges) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::server
