#include "cloud/simulate/replica.h"

#include <algorithm>
#include <limits>

namespace bundle::cloud {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kTiny = 1e-9;  // tokens or steps that rounding may leave

}  // namespace

void SimulatedReplica::set_rates() {
  const auto sequences = static_cast<double>(running_.size());
  const double step = (profile_->step_ms + sequences * profile_->step_ms_per_sequence) / 1000;
  const bool prefills = !prefilling_.empty();
  const double share = prefills ? profile_->prefill_share : 0;
  step_rate_ = running_.empty() ? 0 : (1 - share) / step;
  prefill_rate_ =
      prefills ? profile_->prefill_tokens_per_second * (running_.empty() ? 1 : share) : 0;
}

std::int64_t SimulatedReplica::need(std::size_t request) const {
  const TraceRequest& wanted = (*trace_)[request];
  // One that fits nowhere may still run alone.
  return std::min<std::int64_t>(wanted.prompt_tokens + wanted.output_tokens, profile_->kv_tokens);
}

double SimulatedReplica::prefill_backlog() const {
  double tokens = 0;
  for (const Prefill& one : prefilling_) tokens += one.left;
  for (const std::size_t request : waiting_) tokens += (*trace_)[request].prompt_tokens;
  return tokens;
}

void SimulatedReplica::admit() {
  while (!waiting_.empty()) {
    const std::size_t request = waiting_.front();
    const bool full =
        kv_used_ + need(request) > profile_->kv_tokens ||
        static_cast<std::int64_t>(prefilling_.size() + running_.size()) >= profile_->max_sequences;
    if (full) return;
    waiting_.pop_front();
    kv_used_ += need(request);
    prefilling_.push_back({request, static_cast<double>((*trace_)[request].prompt_tokens)});
  }
}

void SimulatedReplica::submit(std::size_t request, double now) {
  advance(now);
  waiting_.push_back(request);
  admit();
  set_rates();
}

double SimulatedReplica::prefill_end() const {
  return prefill_rate_ > 0 ? now_ + prefilling_.front().left / prefill_rate_ : kNever;
}

double SimulatedReplica::running_end() const {
  if (step_rate_ <= 0) return kNever;
  return now_ + std::max(0.0, running_.top().last_step - steps_) / step_rate_;
}

double SimulatedReplica::next_event() const { return std::min(prefill_end(), running_end()); }

/// Notes what is done at this moment.
void SimulatedReplica::complete(double now) {
  if (!prefilling_.empty() && prefilling_.front().left <= kTiny) {
    const std::size_t request = prefilling_.front().request;
    prefilling_.pop_front();
    (*outcomes_)[request].first_token = now;
    const int more = (*trace_)[request].output_tokens - 1;
    running_.push({steps_ + more, request});
  }
  while (!running_.empty() && running_.top().last_step - steps_ <= kTiny) {
    const std::size_t request = running_.top().request;
    running_.pop();
    (*outcomes_)[request].finish = now;
    finished_.push_back(request);
    kv_used_ -= need(request);
  }
  admit();
  set_rates();
}

void SimulatedReplica::advance(double now) {
  for (;;) {
    const double prefilled_at = prefill_end();
    const double stepped_at = running_end();
    const double event = std::min(prefilled_at, stepped_at);
    if (now_ >= now && event > now) return;
    const double until = std::min(now, event);
    const double passed = std::max(0.0, until - now_);
    if (!prefilling_.empty()) prefilling_.front().left -= passed * prefill_rate_;
    steps_ += passed * step_rate_;
    now_ = until;
    if (event > until) continue;
    // What is due is done, whatever rounding left of it: time cannot stand still.
    if (until >= prefilled_at) prefilling_.front().left = 0;
    if (until >= stepped_at) steps_ = std::max(steps_, running_.top().last_step);
    complete(now_);
  }
}

}  // namespace bundle::cloud
