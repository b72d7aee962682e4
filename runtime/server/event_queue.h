// Events of one answer on their way from the engine's thread to the thread that sends them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "runtime/engine/request.h"

namespace bundle::server {

struct TimedEvent {
  engine::Event event;
  std::chrono::steady_clock::time_point at;
};

/// One writer, one reader. Thread-safe.
class EventQueue {
 public:
  /// Called, on the writer's thread, when the queue stops being empty. It must only post.
  void set_wake(std::function<void()> wake);

  void push(engine::Event event);
  /// All that came since the last call, oldest first.
  std::vector<TimedEvent> drain();
  /// About what the queued events take in memory.
  std::size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::vector<TimedEvent> events_;
  std::size_t bytes_ = 0;
  std::function<void()> wake_;
};

}  // namespace bundle::server
