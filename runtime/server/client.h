// An API key at work: what it has used up of its limits, and its place in the fair queue.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/server/api_error.h"
#include "runtime/server/api_key.h"

namespace bundle::server {

/// An allowance that refills evenly over a minute, and holds a minute's worth. Not thread-safe.
class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  /// 0: without limit.
  explicit TokenBucket(double per_minute) : per_minute_(per_minute), level_(per_minute) {}

  bool limited() const { return per_minute_ > 0; }
  double per_minute() const { return per_minute_; }
  double level(Clock::time_point now) const;
  /// Seconds until `amount` is there; what exceeds a minute's worth waits for a full bucket.
  double seconds_until(double amount, Clock::time_point now) const;
  /// May go below zero: then nothing is there until the debt is paid.
  void take(double amount, Clock::time_point now);

 private:
  double per_minute_;
  double level_;
  Clock::time_point filled_at_ = Clock::now();
};

/// Thread-safe.
class Client {
 public:
  using Clock = TokenBucket::Clock;

  explicit Client(ApiKey key);

  const ApiKey& key() const { return key_; }

  /// Takes a request of so many choices in; else the 429 that says which limit stands against it
  /// and when to come back. What it is told must be given back by leave().
  std::optional<ApiError> enter(std::int64_t choices, std::int64_t prompt_tokens,
                                Clock::time_point now);
  /// What the first token ends: from then on the choices count as running, not as waiting.
  void started(std::int64_t choices);
  void leave(std::int64_t choices, bool started, std::int64_t output_tokens, Clock::time_point now);
  /// Undoes enter() for a request that was refused elsewhere: it costs nothing.
  void undo(std::int64_t choices, std::int64_t prompt_tokens, Clock::time_point now);

  std::int64_t in_flight() const;
  std::int64_t waiting() const;
  /// x-ratelimit-… as OpenAI names them; empty without limits.
  std::vector<Field> rate_fields(Clock::time_point now) const;

  /// Virtual time at which its last request ends. Of FairClock alone, under its lock.
  double virtual_finish = 0;

 private:
  const ApiKey key_;
  mutable std::mutex mutex_;
  TokenBucket requests_;
  TokenBucket tokens_;
  std::int64_t in_flight_ = 0;
  std::int64_t waiting_ = 0;
};

}  // namespace bundle::server
