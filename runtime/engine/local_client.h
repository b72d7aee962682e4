// An engine on a thread of this process: for tests, benchmarks and programs without a supervisor.
#pragma once

#include <memory>

#include "runtime/engine/client.h"
#include "runtime/engine/engine.h"

namespace bundle::engine {

/// Runs the engine's steps on a thread of its own; callbacks come on that thread and may call the
/// client back. Its destructor aborts what is in flight and delivers the last events.
class LocalClient final : public EngineClient {
 public:
  /// Whatever the engine stands on (its device) must outlive the client.
  explicit LocalClient(std::unique_ptr<Engine> engine);
  ~LocalClient() override;

  void submit(Request request, OnEvent on_event) override;
  void abort(std::uint64_t id) override;
  bool ready() const override { return true; }
  EngineStats stats() const override;
  std::int64_t restarts() const override { return 0; }

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace bundle::engine
