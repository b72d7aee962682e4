// What all endpoints share: options, engine, model, admission and health.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/server/access_log.h"
#include "runtime/server/admission.h"
#include "runtime/server/api_error.h"
#include "runtime/server/http_server.h"
#include "runtime/server/key_ring.h"
#include "runtime/server/metrics.h"
#include "runtime/server/trace_exporter.h"
#include "runtime/server/webhook.h"

namespace bundle::server {

/// A served model with what is derived from it. Immutable, but for its metrics.
struct Model {
  explicit Model(ServedModel model, const std::string& version);

  ServedModel served;
  std::string fingerprint;      // system_fingerprint: the content digest of a bundle
  std::int32_t vocab_size = 0;  // ids below it exist
  mutable Metrics metrics;
};

/// Thread-safe.
class Service {
 public:
  Service(ServerOptions options, std::shared_ptr<engine::EngineClient> engine);

  const ServerOptions& options() const { return options_; }
  engine::EngineClient& engine() const { return *engine_; }

  void set_model(ServedModel model);
  std::shared_ptr<const Model> model() const;
  /// Longest prompt and output of `model`, in tokens; 0: not known.
  std::int64_t max_context(const Model& model) const;

  /// The model, when generations can be taken now; else the 503 that says why not.
  ApiResult<std::shared_ptr<const Model>> available_model() const;
  /// Room for a request; else the 429 or 503 with the time to come back.
  ApiResult<Admission::Ticket> admit(const Model& model, const HttpRequest& request,
                                     const Demand& demand);
  /// Why admit() would say no now; none: it would not.
  std::optional<ApiError> refusal_of(const HttpRequest& request, const Demand& demand);
  KeyRing& keys() { return keys_; }
  const KeyRing& keys() const { return keys_; }
  LoadMonitor& load() { return load_; }
  void set_access_log(AccessLog log) { access_log_ = std::move(log); }
  /// Whether anybody wants to know of requests that are over.
  bool records() const { return access_log_.enabled() || traces_.enabled(); }
  void record(RequestRecord record);
  /// `count` ids in a row for engine requests.
  std::uint64_t next_ids(std::uint64_t count) { return next_id_.fetch_add(count); }

  void begin_drain() { draining_ = true; }
  bool draining() const { return draining_; }
  enum class Readiness { kReady, kLoading, kRestarting, kStalled, kOverloaded, kDraining };
  Readiness readiness() const;
  bool ready() const { return readiness() == Readiness::kReady; }
  /// False when only a restart of the whole process can help: the engine has work and does none of
  /// it, or has been gone for too long.
  bool alive() const { return !stalled_; }

  /// What a newcomer would find.
  QueueView queue() const;
  double predicted_wait() const;
  /// How many replicas the load calls for when `replicas` run.
  ScalingAdvice advise(const ScalingOptions& options, std::int64_t replicas) const;
  Metrics::Gauges gauges() const;

  /// To be called once a second, by one thread: watches the engine.
  void tick();

  std::atomic<std::int64_t> connections = 0;

 private:
  ApiResult<Admission::Ticket> enter(const HttpRequest& request, const Demand& demand);
  bool watch_progress(const engine::EngineStats& stats);
  void tell_webhook(const engine::EngineStats& stats);

  const ServerOptions options_;
  const std::shared_ptr<engine::EngineClient> engine_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Model> model_;
  KeyRing keys_;
  LoadMonitor load_;
  Admission admission_;
  AccessLog access_log_;
  Webhook webhook_;
  TraceExporter traces_;
  std::atomic<std::uint64_t> next_id_ = 1;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> was_ready_ = false;
  std::atomic<bool> stalled_ = false;
  std::atomic<bool> overloaded_ = false;
  std::int64_t last_steps_ = -1;
  std::uint64_t last_loaded_ = 0;
  std::chrono::steady_clock::time_point last_progress_ = std::chrono::steady_clock::now();
};

/// "ready", "loading", "restarting", "stalled", "overloaded" or "draining".
const char* readiness_word(Service::Readiness readiness);

}  // namespace bundle::server
