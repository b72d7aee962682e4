#include "runtime/server/load_monitor.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bundle::server {
namespace {

constexpr double kNewest = 0.1;  // weight of the newest observation in a running mean
constexpr auto kMinute = std::chrono::seconds(60);
constexpr std::int64_t kFewestMeasured = 16;  // prompt tokens; fewer say little about more

void blend(double& mean, double value) {
  mean = mean == 0 ? value : mean + kNewest * (value - mean);
}

}  // namespace

void LoadMonitor::arrived() {
  const std::lock_guard lock(mutex_);
  ++current_.arrived;
  active_at_ = Clock::now();
}

void LoadMonitor::first_token(double seconds, double prefill_seconds, std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  keep(first_tokens_, seconds);
  if (tokens < kFewestMeasured || prefill_seconds <= 0) return;
  blend(prompt_token_, prefill_seconds / static_cast<double>(tokens));
}

void LoadMonitor::finished(std::int64_t choices, std::int64_t output_tokens, double per_token) {
  const std::lock_guard lock(mutex_);
  current_.finished += choices;
  if (choices > 0) {
    blend(answer_tokens_, static_cast<double>(output_tokens) / static_cast<double>(choices));
  }
  if (per_token >= 0) keep(tokens_, per_token);
  active_at_ = Clock::now();
}

void LoadMonitor::second_passed(std::int64_t running, std::int64_t waiting) {
  const std::lock_guard lock(mutex_);
  current_.concurrency = running + waiting;
  current_.busy = running > 0 || current_.finished > 0;
  if (running + waiting > 0) active_at_ = Clock::now();
  seconds_[passed_++ % kSeconds] = std::exchange(current_, {});
  if (const double rate = finish_rate(); rate > 0) last_rate_ = rate;
}

LoadFigures LoadMonitor::figures() const {
  const std::lock_guard lock(mutex_);
  LoadFigures out;
  out.concurrency = mean_concurrency(kSeconds);
  out.burst = mean_concurrency(kBurstSeconds);
  std::int64_t arrived = 0;
  for (const Second& second : seconds_) arrived += second.arrived;
  const auto known = std::clamp<std::uint64_t>(passed_, 1, kSeconds);
  out.requests_per_second = static_cast<double>(arrived) / static_cast<double>(known);
  out.finished_per_second = last_rate_;
  out.first_token_p95 = p95(first_tokens_);
  out.token_p95 = p95(tokens_);
  out.prompt_token = prompt_token_;
  out.answer_tokens = answer_tokens_;
  out.idle = std::chrono::duration<double>(Clock::now() - active_at_).count();
  return out;
}

const LoadMonitor::Second& LoadMonitor::ago(std::size_t seconds) const {
  return seconds_[(passed_ - 1 - seconds) % kSeconds];
}

double LoadMonitor::mean_concurrency(std::size_t seconds) const {
  const auto known = std::min<std::uint64_t>(passed_, seconds);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < known; ++i) sum += ago(i).concurrency;
  return known == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(known);
}

/// Over the seconds in which anything ran: idle ones say nothing about speed.
double LoadMonitor::finish_rate() const {
  std::int64_t finished = 0;
  std::int64_t busy = 0;
  for (const Second& second : seconds_) {
    finished += second.finished;
    busy += second.busy;
  }
  return busy == 0 ? 0 : static_cast<double>(finished) / static_cast<double>(busy);
}

void LoadMonitor::keep(std::deque<Sample>& samples, double value) {
  samples.push_back({Clock::now(), value});
  if (samples.size() > kMostSamples) samples.pop_front();
}

double LoadMonitor::p95(const std::deque<Sample>& samples) {
  const auto oldest = Clock::now() - kMinute;
  std::vector<double> values;
  for (const Sample& sample : samples) {
    if (sample.at >= oldest) values.push_back(sample.value);
  }
  if (values.empty()) return -1;
  const auto rank = (values.size() - 1) * 95 / 100;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                   values.end());
  return values[rank];
}

}  // namespace bundle::server
