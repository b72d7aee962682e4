// How much work is let in, and when to come back when it is not.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace bundle::server {

/// Counts engine requests from admission to their end. Thread-safe.
class Admission {
 public:
  /// Room for `count` engine requests; gives it back when destroyed.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Admission* owner, std::int64_t count) : owner_(owner), count_(count) {}
    Ticket(Ticket&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), count_(other.count_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Ticket() {
      if (owner_ != nullptr) owner_->release(count_);
    }
    explicit operator bool() const { return owner_ != nullptr; }

   private:
    Admission* owner_ = nullptr;
    std::int64_t count_ = 0;
  };

  /// An empty ticket when more than `limit` requests would wait behind the `running` ones.
  Ticket enter(std::int64_t count, std::int64_t running, std::int64_t limit);

  std::int64_t in_flight() const { return in_flight_.load(); }
  /// Seconds after which half of what waits now should be gone, 1 to 60.
  int retry_after(std::int64_t running) const;
  /// To be called once a second: measures how fast requests end.
  void tick();

 private:
  void release(std::int64_t count);

  std::atomic<std::int64_t> in_flight_ = 0;
  std::atomic<std::int64_t> finished_ = 0;
  std::atomic<double> per_second_ = 0;
  std::int64_t finished_before_ = 0;
};

}  // namespace bundle::server
