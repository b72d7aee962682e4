// The engine in a process of its own, as an EngineClient: what a server talks to. The process may
// die; it is started again, goes on with the requests that it had, and nobody above this header
// notices more than a pause.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "runtime/engine/client.h"
#include "runtime/launch/self_command.h"

namespace bundle::launch {

struct EngineProcessOptions {
  Command command;   // starts this program; "--engine" is added
  std::string spec;  // what the engine is to load, for its LoadEngine
  /// Engine processes that share the model. Where one dies, all are ended and started again.
  int ranks = 1;
  /// How they find further ones on other machines (group.h); "": there are none. Then the first of
  /// these processes is rank `first_rank`, and takes requests where that is 0.
  std::string group = {};
  int first_rank = 0;
  /// A step that takes longer means that the engine hangs: it is killed and started again.
  std::chrono::milliseconds step_limit{120'000};
  /// Deaths in a row, before an engine was ready or within a second of it and without a request,
  /// after which no further one is started.
  int most_quick_deaths = 5;
  /// Wait before the second start in a row; doubles up to a second.
  std::chrono::milliseconds backoff{50};
  std::size_t ring_bytes = 1u << 20;
  /// Called on the client's thread when ready(), failure() or restarts() has changed.
  std::function<void()> on_change = {};
};

class EngineProcess final : public engine::EngineClient {
 public:
  /// Starts the engine and returns at once; requests wait until it is ready.
  static std::unique_ptr<EngineProcess> start(EngineProcessOptions options);
  /// Ends the engine. Requests in flight end with kAborted.
  ~EngineProcess() override;

  void submit(engine::Request request, OnEvent on_event) override;
  void abort(std::uint64_t id) override;
  bool ready() const override;
  engine::LoadProgress progress() const override;
  /// Counters go on over restarts.
  engine::EngineStats stats() const override;
  std::int64_t restarts() const override;

  /// Why there is no engine and will be none; all requests end with kError then. An engine that
  /// could not start the first time says why itself.
  std::optional<Error> failure() const;
  /// Whether the group that these ranks belong to was ended by its first machine: then there is no
  /// engine any more.
  bool released() const;
  /// Process id of the engine (of the first rank), -1 while there is none.
  std::int64_t pid() const;

 private:
  class Io;
  explicit EngineProcess(std::unique_ptr<Io> io);
  std::unique_ptr<Io> io_;
};

}  // namespace bundle::launch
