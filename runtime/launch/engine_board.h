// What is known of an engine process, for any thread to read: its thread writes, servers look.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "runtime/engine/client.h"
#include "runtime/launch/channel.h"

namespace bundle::launch {

/// Thread-safe.
class EngineBoard {
 public:
  bool ready() const;
  engine::LoadProgress progress() const;
  std::optional<Error> failure() const;
  bool released() const;
  std::int64_t restarts() const;
  std::int64_t pid() const;
  /// The running engine's counters on top of those of the dead. `in_flight` requests are waiting
  /// where the engine does not say otherwise.
  engine::EngineStats stats() const;

  void engine_started(std::shared_ptr<const Channel> channel, std::int64_t pid, bool again);
  void engine_progressed(engine::LoadProgress progress);
  void engine_is_ready();
  void engine_died();
  void given_up(Error error);
  void was_released();
  void set_in_flight(std::int64_t requests);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Channel> channel_;
  engine::EngineStats past_;  // sums of counters of engines that died
  engine::LoadProgress progress_;
  std::optional<Error> failure_;
  std::int64_t restarts_ = 0;
  std::int64_t pid_ = -1;
  std::int64_t in_flight_ = 0;
  std::int64_t max_context_ = 0;
  bool ready_ = false;
  bool released_ = false;
};

}  // namespace bundle::launch
