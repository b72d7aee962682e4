#include "runtime/launch/engine_board.h"

#include <algorithm>
#include <utility>

namespace bundle::launch {
namespace {

void add_counters(engine::EngineStats& to, const engine::EngineStats& from) {
  to.prompt_tokens += from.prompt_tokens;
  to.generated_tokens += from.generated_tokens;
  to.prefix_queries += from.prefix_queries;
  to.prefix_hits += from.prefix_hits;
  to.drafts += from.drafts;
  to.draft_tokens += from.draft_tokens;
  to.accepted_tokens += from.accepted_tokens;
  to.preemptions += from.preemptions;
  to.steps += from.steps;
}

}  // namespace

bool EngineBoard::ready() const {
  const std::lock_guard lock(mutex_);
  return ready_;
}

engine::LoadProgress EngineBoard::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

std::optional<Error> EngineBoard::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

bool EngineBoard::released() const {
  const std::lock_guard lock(mutex_);
  return released_;
}

std::int64_t EngineBoard::restarts() const {
  const std::lock_guard lock(mutex_);
  return restarts_;
}

std::int64_t EngineBoard::pid() const {
  const std::lock_guard lock(mutex_);
  return pid_;
}

engine::EngineStats EngineBoard::stats() const {
  const std::lock_guard lock(mutex_);
  engine::EngineStats stats;
  if (channel_) stats = channel_->stats();
  add_counters(stats, past_);
  stats.waiting = std::max<std::int64_t>(0, in_flight_ - stats.running);
  if (stats.max_context == 0) stats.max_context = max_context_;
  return stats;
}

void EngineBoard::engine_started(std::shared_ptr<const Channel> channel, std::int64_t pid,
                                 bool again) {
  const std::lock_guard lock(mutex_);
  channel_ = std::move(channel);
  pid_ = pid;
  restarts_ += again;
}

void EngineBoard::engine_progressed(engine::LoadProgress progress) {
  const std::lock_guard lock(mutex_);
  progress_ = std::move(progress);
}

void EngineBoard::engine_is_ready() {
  const std::lock_guard lock(mutex_);
  ready_ = true;
  progress_ = {};
  max_context_ = channel_->stats().max_context;
}

void EngineBoard::engine_died() {
  const std::lock_guard lock(mutex_);
  if (channel_) add_counters(past_, channel_->stats());
  channel_.reset();
  ready_ = false;
  pid_ = -1;
}

void EngineBoard::given_up(Error error) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(error);
}

void EngineBoard::was_released() {
  const std::lock_guard lock(mutex_);
  released_ = true;
}

void EngineBoard::set_in_flight(std::int64_t requests) {
  const std::lock_guard lock(mutex_);
  in_flight_ = requests;
}

}  // namespace bundle::launch
