// What all endpoints share: options, engine, model, admission and health.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/server/admission.h"
#include "runtime/server/api_error.h"
#include "runtime/server/http_server.h"
#include "runtime/server/metrics.h"

namespace bundle::server {

/// A served model with what is derived from it. Immutable, but for its metrics.
struct Model {
  explicit Model(ServedModel model, const std::string& version);

  ServedModel served;
  std::string fingerprint;      // system_fingerprint: "fp_" and 12 digits of the content digest
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
  /// Room for `count` engine requests; else the 503 with the time to come back.
  ApiResult<Admission::Ticket> admit(const Model& model, std::int64_t count);
  /// `count` ids in a row for engine requests.
  std::uint64_t next_ids(std::uint64_t count) { return next_id_.fetch_add(count); }

  void begin_drain() { draining_ = true; }
  bool draining() const { return draining_; }
  bool ready() const;
  enum class Health { kOk, kLoading, kDead, kStalled };
  Health health() const;

  /// To be called once a second, by one thread: watches the engine.
  void tick();

  std::atomic<std::int64_t> connections = 0;

 private:
  const ServerOptions options_;
  const std::shared_ptr<engine::EngineClient> engine_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Model> model_;
  Admission admission_;
  std::atomic<std::uint64_t> next_id_ = 1;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> was_ready_ = false;
  std::atomic<bool> stalled_ = false;
  std::int64_t last_steps_ = -1;
  std::chrono::steady_clock::time_point last_progress_ = std::chrono::steady_clock::now();
};

}  // namespace bundle::server
