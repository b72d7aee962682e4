// The engine as its users see it, wherever it runs: in this process or in another.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/engine/request.h"

namespace bundle::engine {

/// How far an engine that is not ready yet has come. `total` is 0 when it is not known.
struct LoadProgress {
  std::string stage;  // "loading weights"
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

/// Thread-safe: any thread may call any function.
class EngineClient {
 public:
  using OnEvent = std::function<void(Event)>;

  virtual ~EngineClient() = default;

  /// `on_event` is called on a thread of the client's, in order, until an event with a finish
  /// reason. It must be quick and must not block. When the engine dies, its successor goes on with
  /// what it had, behind the output that was heard; only a request that met several deaths ends
  /// with kError.
  virtual void submit(Request request, OnEvent on_event) = 0;
  /// The request's last event still comes.
  virtual void abort(std::uint64_t id) = 0;

  /// Weights are loaded and the engine answers.
  virtual bool ready() const = 0;
  /// What it is doing until then; the stage is "" when there is nothing to tell.
  virtual LoadProgress progress() const { return {}; }
  virtual EngineStats stats() const = 0;
  /// How many times the engine was started again after it died.
  virtual std::int64_t restarts() const = 0;
};

}  // namespace bundle::engine
