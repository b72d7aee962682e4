#include "runtime/server/client.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace bundle::server {
namespace {

double seconds(TokenBucket::Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

void add_rate(std::vector<Field>& out, const TokenBucket& bucket, const char* what,
              Client::Clock::time_point now) {
  if (!bucket.limited()) return;
  const auto field = [&](const char* name, std::string value) {
    out.push_back({fmt::format("X-RateLimit-{}-{}", name, what), std::move(value)});
  };
  field("Limit", fmt::format("{:.0f}", bucket.per_minute()));
  field("Remaining", fmt::format("{:.0f}", std::max(0.0, std::floor(bucket.level(now)))));
  field("Reset", fmt::format("{:.3f}s", bucket.seconds_until(bucket.per_minute(), now)));
}

}  // namespace

double TokenBucket::level(Clock::time_point now) const {
  return std::min(per_minute_, level_ + seconds(now - filled_at_) * per_minute_ / 60);
}

double TokenBucket::seconds_until(double amount, Clock::time_point now) const {
  if (!limited()) return 0;
  const double missing = std::min(amount, per_minute_) - level(now);
  return missing <= 0 ? 0 : missing * 60 / per_minute_;
}

void TokenBucket::take(double amount, Clock::time_point now) {
  level_ = std::min(per_minute_, level(now) - amount);
  filled_at_ = now;
}

Client::Client(ApiKey key)
    : key_(std::move(key)),
      requests_(key_.limits.requests_per_minute),
      tokens_(key_.limits.tokens_per_minute) {}

std::optional<ApiError> Client::enter(std::int64_t choices, std::int64_t prompt_tokens,
                                      Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const KeyLimits& limits = key_.limits;
  if (limits.concurrency > 0 && in_flight_ + choices > limits.concurrency) {
    return rate_limited("concurrency_limit_exceeded",
                        fmt::format("Your key may have {} answers under way at once; {} are.",
                                    limits.concurrency, in_flight_),
                        1);
  }
  if (const double wait = requests_.seconds_until(1, now); wait > 0) {
    return rate_limited(
        "request_limit_exceeded",
        fmt::format("Your key may send {:g} requests a minute.", limits.requests_per_minute), wait);
  }
  const auto tokens = static_cast<double>(prompt_tokens);
  if (const double wait = tokens_.seconds_until(std::max(tokens, 1.0), now); wait > 0) {
    return rate_limited(
        "token_limit_exceeded",
        fmt::format("Your key may use {:g} tokens a minute.", limits.tokens_per_minute), wait);
  }
  requests_.take(1, now);
  tokens_.take(tokens, now);
  in_flight_ += choices;
  waiting_ += choices;
  return std::nullopt;
}

void Client::started(std::int64_t choices) {
  const std::lock_guard lock(mutex_);
  waiting_ -= choices;
}

void Client::leave(std::int64_t choices, bool started, std::int64_t output_tokens,
                   Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  in_flight_ -= choices;
  if (!started) waiting_ -= choices;
  tokens_.take(static_cast<double>(output_tokens), now);
}

void Client::undo(std::int64_t choices, std::int64_t prompt_tokens, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  in_flight_ -= choices;
  waiting_ -= choices;
  requests_.take(-1, now);
  tokens_.take(-static_cast<double>(prompt_tokens), now);
}

std::int64_t Client::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

std::int64_t Client::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

std::vector<Field> Client::rate_fields(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  std::vector<Field> out;
  add_rate(out, requests_, "Requests", now);
  add_rate(out, tokens_, "Tokens", now);
  return out;
}

}  // namespace bundle::server
