#include "runtime/server/admission.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

namespace bundle::server {
namespace {

/// One key may take so many times what it leaves free of the queue (A. K. Choudhury, E. L. Hahne:
/// Dynamic Queue Length Thresholds, 1998): alone it gets four fifths, and a second one finds room.
constexpr std::int64_t kShare = 4;
constexpr double kUnknownAnswer = 128;  // tokens, before any answer was finished

}  // namespace

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(client_, other.client_);
  std::swap(demand_, other.demand_);
  std::swap(turn_, other.turn_);
  std::swap(output_tokens_, other.output_tokens_);
  std::swap(started_, other.started_);
  return *this;
}

Admission::Ticket::~Ticket() {
  if (owner_ != nullptr) owner_->release(*this);
}

std::string Admission::Ticket::key() const {
  if (client_ == nullptr || client_->key().hash.empty()) return {};
  return client_->key().name;
}

void Admission::Ticket::cancel() {
  if (owner_ == nullptr) return;
  owner_->forget(*this);
  client_->undo(demand_.choices, demand_.prompt_tokens, LoadMonitor::Clock::now());
  owner_ = nullptr;
}

void Admission::Ticket::started() {
  if (owner_ == nullptr || std::exchange(started_, true)) return;
  client_->started(demand_.choices);
  owner_->waiting_prompts_ -= demand_.prompt_tokens;
  owner_->clock_.serves(turn_);
}

ApiResult<Admission::Ticket> Admission::enter(const std::shared_ptr<Client>& client,
                                              const Demand& demand, std::int64_t running) {
  const auto now = LoadMonitor::Clock::now();
  const bool keyed = !client->key().hash.empty();
  const std::int64_t waiting = std::max<std::int64_t>(in_flight_ - running, 0);
  if (keyed && client->waiting() > kShare * std::max<std::int64_t>(limit_ - waiting, 0)) {
    return rate_limited(
        "queue_share_exceeded",
        fmt::format("Your key has {} requests waiting, its share of the queue.", client->waiting()),
        retry_after(waiting));
  }
  if (auto refusal = client->enter(demand.choices, demand.prompt_tokens, now)) {
    return *std::move(refusal);
  }
  std::int64_t before = in_flight_.load();
  do {
    if (before > 0 && before + demand.choices - running > limit_) {
      client->undo(demand.choices, demand.prompt_tokens, now);
      return full_queue(before - running);
    }
  } while (!in_flight_.compare_exchange_weak(before, before + demand.choices));
  waiting_prompts_ += demand.prompt_tokens;
  return Ticket(this, client, demand, clock_.start(*client, cost(demand)));
}

ApiError Admission::full_queue(std::int64_t waiting) const {
  return unavailable(
      "overloaded",
      fmt::format("{} requests are waiting already; this server queues {}.", waiting, limit_),
      retry_after(waiting));
}

/// Seconds after which half of what waits now should be gone.
int Admission::retry_after(std::int64_t waiting) const {
  const double rate = load_.figures().finished_per_second;
  if (rate <= 0) return 5;
  const auto half = static_cast<double>(std::max<std::int64_t>(waiting, 1)) / 2;
  return static_cast<int>(std::clamp(std::ceil(half / rate), 1.0, 120.0));
}

/// Expected tokens: answers end long before the most that they may have.
double Admission::cost(const Demand& demand) const {
  const double mean = load_.figures().answer_tokens;
  const double expected =
      std::min(static_cast<double>(demand.output_tokens), mean > 0 ? mean : kUnknownAnswer);
  return static_cast<double>(demand.prompt_tokens) +
         static_cast<double>(demand.choices) * std::max(expected, 1.0);
}

void Admission::release(const Ticket& ticket) {
  forget(ticket);
  ticket.client_->leave(ticket.demand_.choices, ticket.started_, ticket.output_tokens_,
                        LoadMonitor::Clock::now());
}

void Admission::forget(const Ticket& ticket) {
  const Demand& demand = ticket.demand_;
  in_flight_ -= demand.choices;
  if (!ticket.started_) waiting_prompts_ -= demand.prompt_tokens;
  // What never ran costs nothing; what ran for less than expected is not paid back, else a later
  // request of the client's could overtake its earlier ones.
  const double spent =
      ticket.started_ ? static_cast<double>(demand.prompt_tokens + ticket.output_tokens_) : 0;
  const double more = spent - cost(demand);
  if (more > 0 || !ticket.started_) clock_.charge(*ticket.client_, more);
}

double predicted_wait(const QueueView& queue, const LoadFigures& load) {
  const double prompts = static_cast<double>(queue.waiting_prompts) * load.prompt_token;
  if (queue.slots == 0 || load.finished_per_second <= 0) return prompts;
  const auto before = static_cast<double>(queue.waiting + 1 - (queue.slots - queue.running));
  return std::max(prompts, std::max(before, 0.0) / load.finished_per_second);
}

}  // namespace bundle::server
