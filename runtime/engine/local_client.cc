#include "runtime/engine/local_client.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <variant>

namespace bundle::engine {

class LocalClient::Worker {
 public:
  explicit Worker(std::unique_ptr<Engine> engine)
      : engine_(std::move(engine)), stats_(engine_->stats()), thread_([this] { loop(); }) {}

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  struct Submission {
    Request request;
    OnEvent on_event;
  };
  struct Abort {
    std::uint64_t id;
  };
  using Order = std::variant<Submission, Abort>;

  void post(Order order) {
    {
      const std::lock_guard lock(mutex_);
      if (std::holds_alternative<Submission>(order)) ++arriving_;
      orders_.push_back(std::move(order));
    }
    wake_.notify_one();
  }

  EngineStats stats() const {
    const std::lock_guard lock(mutex_);
    EngineStats stats = stats_;
    stats.waiting += arriving_;
    return stats;
  }

 private:
  void loop() {
    std::vector<Event> events;
    while (take_orders()) {
      engine_->step(events);
      publish_stats();
      deliver(events);
    }
    for (const auto& [id, on_event] : listeners_) engine_->abort(id);
    engine_->step(events);
    deliver(events);
  }

  /// Waits for orders or work and carries the orders out; false when the client goes.
  bool take_orders() {
    std::vector<Order> orders;
    bool go_on = true;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !orders_.empty() || !engine_->idle(); });
      orders.swap(orders_);
      go_on = !stopping_;
    }
    for (Order& order : orders) std::visit([this](auto& o) { carry_out(o); }, order);
    return go_on;
  }

  void carry_out(Submission& submission) {
    const std::uint64_t id = submission.request.id;
    if (listeners_.contains(id)) {
      Event refusal;
      refusal.id = id;
      refusal.finish = FinishReason::kError;
      refusal.error = "a request with this id is in flight";
      return submission.on_event(std::move(refusal));
    }
    listeners_.emplace(id, std::move(submission.on_event));
    engine_->submit(std::move(submission.request));
  }

  void carry_out(const Abort& abort) { engine_->abort(abort.id); }

  void publish_stats() {
    const std::lock_guard lock(mutex_);
    stats_ = engine_->stats();
    arriving_ = 0;
    for (const Order& order : orders_) arriving_ += std::holds_alternative<Submission>(order);
  }

  void deliver(std::vector<Event>& events) {
    for (Event& event : events) {
      const auto listener = listeners_.find(event.id);
      if (listener == listeners_.end()) continue;
      if (event.finish == FinishReason::kNone) {
        listener->second(std::move(event));
        continue;
      }
      const OnEvent last = std::move(listener->second);
      listeners_.erase(listener);
      last(std::move(event));
    }
    events.clear();
  }

  std::unique_ptr<Engine> engine_;                        // of the thread
  std::unordered_map<std::uint64_t, OnEvent> listeners_;  // of the thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Order> orders_;
  EngineStats stats_;
  std::int64_t arriving_ = 0;  // submissions that the engine has not seen
  bool stopping_ = false;

  std::thread thread_;  // last: it uses all of the above
};

LocalClient::LocalClient(std::unique_ptr<Engine> engine)
    : worker_(std::make_unique<Worker>(std::move(engine))) {}

LocalClient::~LocalClient() = default;

void LocalClient::submit(Request request, OnEvent on_event) {
  worker_->post(Worker::Submission{std::move(request), std::move(on_event)});
}

void LocalClient::abort(std::uint64_t id) { worker_->post(Worker::Abort{id}); }

EngineStats LocalClient::stats() const { return worker_->stats(); }

}  // namespace bundle::engine
