// Requests that wait for a replica: how many may, and the one who wakes a replica for them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

namespace bundle::gateway {

/// Not thread-safe.
class WaitingRoom {
 public:
  /// `wake` is called when somebody comes in, at most once in ten seconds; may be empty.
  WaitingRoom(std::size_t places, std::function<void()> wake)
      : places_(places), wake_(std::move(wake)) {}

  /// False when it is full. Who came in must leave().
  bool enter();
  void leave() { --taken_; }
  std::size_t taken() const { return taken_; }

 private:
  std::size_t places_;
  std::size_t taken_ = 0;
  std::function<void()> wake_;
  std::chrono::steady_clock::time_point last_wake_{};
};

}  // namespace bundle::gateway
