#include "runtime/launch/flights.h"

#include <random>

namespace bundle::launch {
namespace {

engine::Event last_event(std::uint64_t id, engine::FinishReason reason, const std::string& error) {
  engine::Event event;
  event.id = id;
  event.finish = reason;
  event.error = error;
  return event;
}

std::uint64_t random_seed() {
  thread_local std::mt19937_64 engine{std::random_device()()};
  return engine();
}

}  // namespace

bool Flights::add(engine::Request request, engine::EngineClient::OnEvent on_event) {
  const std::uint64_t id = request.id;
  if (order_.contains(id)) {
    on_event(last_event(id, engine::FinishReason::kError, "a request with this id is in flight"));
    return false;
  }
  // The next engine must draw as this one would have.
  if (!request.sampling.seed) request.sampling.seed = random_seed();
  order_.emplace(id, arrivals_);
  flights_.emplace(arrivals_++, Flight{std::move(request), std::move(on_event)});
  return true;
}

bool Flights::abort(std::uint64_t id) {
  const auto found = order_.find(id);
  if (found == order_.end()) return false;
  const Position position = flights_.find(found->second);
  if (position->second.started) {
    position->second.aborted = true;
    return true;
  }
  end(position, engine::FinishReason::kAborted, "");
  return false;
}

void Flights::deliver(engine::Event event) {
  const auto found = order_.find(event.id);
  if (found == order_.end()) return;
  const Position position = flights_.find(found->second);
  Flight& flight = position->second;
  engine::Request& request = flight.request;
  request.prompt.insert(request.prompt.end(), event.tokens.begin(), event.tokens.end());
  request.resumed += static_cast<std::int32_t>(event.tokens.size());
  if (event.finish == engine::FinishReason::kNone) return flight.on_event(std::move(event));
  const auto on_event = std::move(flight.on_event);
  forget(position);
  on_event(std::move(event));
}

std::vector<const engine::Request*> Flights::start_waiting() {
  std::vector<const engine::Request*> waiting;
  for (auto& [order, flight] : flights_) {
    if (flight.started) continue;
    flight.started = true;
    ++flight.starts;
    ++started_;
    waiting.push_back(&flight.request);
  }
  return waiting;
}

void Flights::engine_died(const std::string& how) {
  for (auto next = flights_.begin(); next != flights_.end();) {
    const Position position = next++;
    Flight& flight = position->second;
    if (!flight.started) continue;
    if (flight.aborted) {
      end(position, engine::FinishReason::kAborted, "");
    } else if (flight.starts >= kMostStarts) {
      end(position, engine::FinishReason::kError, how);
    } else {
      flight.started = false;
      --started_;
    }
  }
}

void Flights::end_all(engine::FinishReason reason, const std::string& error) {
  while (!flights_.empty()) end(flights_.begin(), reason, error);
}

void Flights::end(Position position, engine::FinishReason reason, const std::string& error) {
  const std::uint64_t id = position->second.request.id;
  const auto on_event = std::move(position->second.on_event);
  forget(position);
  on_event(last_event(id, reason, error));
}

void Flights::forget(Position position) {
  if (position->second.started) --started_;
  order_.erase(position->second.request.id);
  flights_.erase(position);
}

}  // namespace bundle::launch
