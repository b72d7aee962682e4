// How much work is let in, who goes first, and when to come back when there is no room.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/server/fair_clock.h"
#include "runtime/server/load_monitor.h"

namespace bundle::server {

/// What one request asks of the engine.
struct Demand {
  std::int64_t choices = 1;        // engine requests
  std::int64_t prompt_tokens = 0;  // of all prompts
  std::int64_t output_tokens = 0;  // the most that one choice may have
  std::int32_t priority = 0;       // lower is more urgent
};

/// The queue as a newcomer would find it.
struct QueueView {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t slots = 0;            // that run at once; 0: not known
  std::int64_t waiting_prompts = 0;  // tokens of prompts that are not computed yet
};

/// Counts requests from admission to their end. Thread-safe.
class Admission {
 public:
  /// Room for one request; gives it back when destroyed. Not thread-safe.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Admission* owner, std::shared_ptr<Client> client, Demand demand, std::uint64_t turn)
        : owner_(owner), client_(std::move(client)), demand_(demand), turn_(turn) {}
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();

    explicit operator bool() const { return owner_ != nullptr; }
    /// For engine::Request.
    std::uint64_t turn() const { return turn_; }
    /// Name of the API key; "" when none was needed.
    std::string key() const;
    /// Its first token came.
    void started();
    /// Gives the room back as if the request had never come.
    void cancel();
    /// Output so far, of all choices.
    void used(std::int64_t output_tokens) { output_tokens_ = output_tokens; }

   private:
    friend class Admission;

    Admission* owner_ = nullptr;
    std::shared_ptr<Client> client_;
    Demand demand_;
    std::uint64_t turn_ = 0;
    std::int64_t output_tokens_ = 0;
    bool started_ = false;
  };

  /// `limit`: engine requests that may wait behind those that run.
  Admission(std::int64_t limit, LoadMonitor& load) : limit_(limit), load_(load) {}

  /// 429 when the client is over its own limits or its share of the queue, 503 when the queue is
  /// full, each with the time to come back.
  ApiResult<Ticket> enter(const std::shared_ptr<Client>& client, const Demand& demand,
                          std::int64_t running);

  std::int64_t in_flight() const { return in_flight_.load(); }
  std::int64_t waiting_prompts() const { return waiting_prompts_.load(); }
  bool full(std::int64_t running) const { return in_flight_ - running >= limit_; }
  std::int64_t limit() const { return limit_; }

 private:
  void release(const Ticket& ticket);
  void forget(const Ticket& ticket);
  ApiError full_queue(std::int64_t waiting) const;
  int retry_after(std::int64_t waiting) const;
  double cost(const Demand& demand) const;

  const std::int64_t limit_;
  LoadMonitor& load_;
  FairClock clock_;
  std::atomic<std::int64_t> in_flight_ = 0;
  std::atomic<std::int64_t> waiting_prompts_ = 0;
};

/// Seconds until a newcomer's prompt would begin to be computed: until a place comes free, and
/// until the prompts before it are done.
double predicted_wait(const QueueView& queue, const LoadFigures& load);

}  // namespace bundle::server
