#include "runtime/server/event_queue.h"

#include <utility>

namespace bundle::server {
namespace {

std::size_t size_of(const std::vector<engine::ScoredToken>& tokens) {
  std::size_t bytes = tokens.size() * sizeof(engine::ScoredToken);
  for (const auto& token : tokens) bytes += token.top.size() * sizeof(engine::TokenLogprob);
  return bytes;
}

std::size_t size_of(const engine::Event& event) {
  return sizeof(TimedEvent) + event.tokens.size() * sizeof(std::int32_t) + event.error.size() +
         event.embedding.size() * sizeof(float) + size_of(event.logprobs) +
         size_of(event.prompt_logprobs);
}

}  // namespace

void EventQueue::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void EventQueue::push(engine::Event event) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  bytes_ += size_of(event);
  events_.push_back({std::move(event), now});
  if (events_.size() == 1 && wake_) wake_();
}

std::vector<TimedEvent> EventQueue::drain() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::exchange(events_, {});
}

std::size_t EventQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace bundle::server
