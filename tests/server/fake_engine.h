// An engine that generates what a test scripted, one token a step, on a thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/engine/client.h"

namespace bundle::server {

/// What the engine does for one request.
struct Script {
  std::vector<std::int32_t> tokens = {};  // of the output, repeated until max_tokens when `repeat`
  bool repeat = false;
  std::int32_t stop_token = -1;  // ends the output when the tokens are used up
  std::string error = {};        // ends it so instead
  bool hold = false;             // nothing happens until the request is aborted
  std::int32_t cached_tokens = 0;
};

/// What it answers a request that pools: prompt's size, last token, -1 for a mean or else 1, and
/// 0.5.
std::vector<float> fake_embedding(const engine::Request& request);

class FakeEngine : public engine::EngineClient {
 public:
  using Scripter = std::function<Script(const engine::Request&)>;

  explicit FakeEngine(Scripter scripter, std::chrono::microseconds step = {})
      : scripter_(std::move(scripter)), step_(step), thread_([this] { run(); }) {}
  ~FakeEngine() override;

  void submit(engine::Request request, OnEvent on_event) override;
  void abort(std::uint64_t id) override;
  bool ready() const override { return ready_; }
  engine::EngineStats stats() const override;
  std::int64_t restarts() const override { return 0; }

  void set_ready(bool ready) { ready_ = ready; }
  void set_frozen(bool frozen);
  void set_max_context(std::int64_t tokens) { max_context_ = tokens; }
  /// As stats tell it: what is over the limit counts as waiting.
  void set_running_limit(std::int64_t limit) { running_limit_ = limit; }
  /// All requests that were submitted so far.
  std::vector<engine::Request> requests() const;
  std::size_t running() const;
  std::size_t aborts() const { return aborts_; }
  /// The most that ran at once.
  std::size_t most_running() const;
  /// Waits until `count` requests run; false after five seconds.
  bool wait_for_running(std::size_t count) const;

 private:
  struct Job {
    engine::Request request;
    Script script;
    OnEvent on_event;
    std::size_t done = 0;
    bool aborted = false;
  };

  void run();
  bool advance(Job& job);
  static engine::ScoredToken score(std::int32_t token, std::int32_t candidates);

  const Scripter scripter_;
  const std::chrono::microseconds step_;
  std::atomic<bool> ready_ = true;
  std::atomic<std::int64_t> max_context_ = 1024;
  std::atomic<std::int64_t> running_limit_ = 64;
  std::atomic<std::int64_t> steps_ = 0, prompt_tokens_ = 0, generated_ = 0;
  std::atomic<std::size_t> aborts_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Job> arrived_;
  std::vector<std::uint64_t> to_abort_;
  std::vector<engine::Request> requests_;
  std::size_t running_ = 0;
  std::size_t most_running_ = 0;
  bool frozen_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bundle::server
