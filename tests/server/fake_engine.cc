#include "tests/server/fake_engine.h"

#include <algorithm>

namespace bundle::server {

FakeEngine::~FakeEngine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void FakeEngine::submit(engine::Request request, OnEvent on_event) {
  Script script = scripter_(request);
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  most_running_ = std::max(most_running_, ++running_);
  arrived_.push_back({std::move(request), std::move(script), std::move(on_event)});
  changed_.notify_all();
}

void FakeEngine::abort(std::uint64_t id) {
  ++aborts_;
  const std::lock_guard lock(mutex_);
  to_abort_.push_back(id);
  changed_.notify_all();
}

engine::EngineStats FakeEngine::stats() const {
  engine::EngineStats out;
  const auto all = static_cast<std::int64_t>(running());
  out.running = std::min(all, running_limit_.load());
  out.waiting = all - out.running;
  out.kv_blocks_total = 100;
  out.kv_blocks_used = 25;
  out.kv_block_tokens = 16;
  out.prompt_tokens = prompt_tokens_;
  out.generated_tokens = generated_;
  out.steps = steps_;
  out.max_context = max_context_;
  return out;
}

void FakeEngine::set_frozen(bool frozen) {
  const std::lock_guard lock(mutex_);
  frozen_ = frozen;
  changed_.notify_all();
}

std::vector<engine::Request> FakeEngine::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t FakeEngine::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::size_t FakeEngine::most_running() const {
  const std::lock_guard lock(mutex_);
  return most_running_;
}

bool FakeEngine::wait_for_running(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return running_ == count; });
}

void FakeEngine::run() {
  std::vector<Job> jobs;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto can_step = [&] {
        return !frozen_ && std::any_of(jobs.begin(), jobs.end(), [](const Job& job) {
          return !job.script.hold || job.aborted;
        });
      };
      changed_.wait(lock,
                    [&] { return stop_ || !arrived_.empty() || !to_abort_.empty() || can_step(); });
      if (stop_) return;
      std::move(arrived_.begin(), arrived_.end(), std::back_inserter(jobs));
      arrived_.clear();
      for (Job& job : jobs) {
        job.aborted |= std::count(to_abort_.begin(), to_abort_.end(), job.request.id) > 0;
      }
      to_abort_.clear();
      if (frozen_) continue;
    }
    if (step_.count() > 0) std::this_thread::sleep_for(step_);
    ++steps_;
    const auto over =
        std::stable_partition(jobs.begin(), jobs.end(), [this](Job& job) { return advance(job); });
    const auto ended = static_cast<std::size_t>(jobs.end() - over);
    jobs.erase(over, jobs.end());
    if (ended == 0) continue;
    const std::lock_guard lock(mutex_);
    running_ -= ended;
    changed_.notify_all();
  }
}

engine::ScoredToken FakeEngine::score(std::int32_t token, std::int32_t candidates) {
  engine::ScoredToken out{{token, -0.5f, 1}, {}};
  for (std::int32_t i = 0; i < candidates; ++i) {
    out.top.push_back({token + i, -0.5f - static_cast<float>(i), i + 1});
  }
  return out;
}

std::vector<float> fake_embedding(const engine::Request& request) {
  const bool mean = request.pooling == engine::Pooling::kMean;
  const auto last = static_cast<float>(request.prompt.back());
  return {static_cast<float>(request.prompt.size()), last, mean ? -1.0f : 1.0f, 0.5f};
}

/// False when the job is over.
bool FakeEngine::advance(Job& job) {
  const auto& sampling = job.request.sampling;
  engine::Event event;
  event.id = job.request.id;
  if (job.done == 0) {
    event.cached_tokens = job.script.cached_tokens;
    if (!job.request.preview) {
      prompt_tokens_ += static_cast<std::int64_t>(job.request.prompt.size());
    }
    for (std::size_t i = 1; sampling.prompt_logprobs >= 0 && i < job.request.prompt.size(); ++i) {
      event.prompt_logprobs.push_back(score(job.request.prompt[i], sampling.prompt_logprobs));
    }
  }
  if (job.request.preview) {
    event.finish = engine::FinishReason::kLength;
  } else if (job.request.pooling != engine::Pooling::kNone && !job.aborted && !job.script.hold) {
    event.finish = engine::FinishReason::kStop;
    event.embedding = fake_embedding(job.request);
  } else if (job.aborted) {
    event.finish = engine::FinishReason::kAborted;
  } else if (job.script.hold) {
    return true;
  } else if (job.done < job.script.tokens.size() || job.script.repeat) {
    const std::int32_t token = job.script.tokens[job.done++ % job.script.tokens.size()];
    ++generated_;
    event.tokens = {token};
    if (sampling.logprobs >= 0) event.logprobs = {score(token, sampling.logprobs)};
    if (job.done == static_cast<std::size_t>(sampling.max_tokens)) {
      event.finish = engine::FinishReason::kLength;
    }
  } else if (!job.script.error.empty()) {
    event.finish = engine::FinishReason::kError;
    event.error = job.script.error;
  } else {
    event.finish = engine::FinishReason::kStop;
    event.stop_token = job.script.stop_token;
  }
  const bool goes_on = event.finish == engine::FinishReason::kNone;
  job.on_event(std::move(event));
  return goes_on;
}

}  // namespace bundle::server
