// What the last minute was like: what autoscaling, Retry-After and predicted waits are made from.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>

namespace bundle::server {

/// Times in seconds. -1: nothing of the kind happened.
struct LoadFigures {
  double concurrency = 0;  // requests running and waiting, mean over the last minute
  double burst = 0;        // the same over the last six seconds
  double requests_per_second = 0;
  double finished_per_second = 0;  // while anything ran; the last known rate when nothing did
  double first_token_p95 = -1;
  double token_p95 = -1;     // time a token after the first, of one request
  double prompt_token = 0;   // to compute one prompt token; 0: not known yet
  double answer_tokens = 0;  // mean output of a choice; 0: not known yet
  double idle = 0;           // since the last request, arriving or at work
};

/// Thread-safe.
class LoadMonitor {
 public:
  using Clock = std::chrono::steady_clock;

  /// A generation is asked for, whether it is admitted or not.
  void arrived();
  /// Of one choice: from its request's arrival, and the part of it that computed `tokens` tokens of
  /// prompt.
  void first_token(double seconds, double prefill_seconds, std::int64_t tokens);
  /// `per_token`: time a token after the first, or -1.
  void finished(std::int64_t choices, std::int64_t output_tokens, double per_token);
  /// To be called once a second.
  void second_passed(std::int64_t running, std::int64_t waiting);

  LoadFigures figures() const;

 private:
  static constexpr std::size_t kSeconds = 60;
  static constexpr std::size_t kBurstSeconds = 6;
  static constexpr std::size_t kMostSamples = 1024;

  struct Second {
    std::int64_t concurrency = 0;
    std::int64_t arrived = 0;
    std::int64_t finished = 0;
    bool busy = false;
  };
  struct Sample {
    Clock::time_point at;
    double value;
  };

  const Second& ago(std::size_t seconds) const;
  double mean_concurrency(std::size_t seconds) const;
  double finish_rate() const;
  static void keep(std::deque<Sample>& samples, double value);
  static double p95(const std::deque<Sample>& samples);

  mutable std::mutex mutex_;
  std::array<Second, kSeconds> seconds_{};
  std::uint64_t passed_ = 0;
  Second current_;
  std::deque<Sample> first_tokens_;
  std::deque<Sample> tokens_;
  double prompt_token_ = 0;
  double answer_tokens_ = 0;
  double last_rate_ = 0;
  Clock::time_point active_at_ = Clock::now();
};

}  // namespace bundle::server
