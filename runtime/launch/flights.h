// The requests that a supervisor has taken and not yet answered to the end, and what becomes of
// them when their engine dies.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/engine/client.h"

namespace bundle::launch {

/// Calls listeners itself, on the caller's thread. Not thread-safe.
class Flights {
 public:
  /// How often a request is given to an engine: one that kills its engine must not kill all that
  /// follow.
  static constexpr int kMostStarts = 3;

  /// Takes a request. False, and told by its listener, when its id is in flight.
  bool add(engine::Request request, engine::EngineClient::OnEvent on_event);
  /// True when the engine must be told; one that no engine has is ended here.
  bool abort(std::uint64_t id);
  /// Hands an event to its listener. Events of unknown ids are dropped.
  void deliver(engine::Event event);

  /// Requests that no engine has, in the order they came; they count as given to one now. One that
  /// an engine had begun goes on where that engine left it.
  std::vector<const engine::Request*> start_waiting();
  /// Their engine is dead, and they wait for the next one; those that were given to too many end
  /// with an error.
  void engine_died(const std::string& how);
  /// Ends all.
  void end_all(engine::FinishReason reason, const std::string& error);

  std::size_t size() const { return flights_.size(); }
  /// How many an engine has.
  std::size_t started() const { return started_; }

 private:
  struct Flight {
    engine::Request request;  // what was heard of its output is at the end of its prompt
    engine::EngineClient::OnEvent on_event;
    int starts = 0;
    bool started = false;  // the engine that runs has it
    bool aborted = false;
  };
  using Position = std::map<std::uint64_t, Flight>::iterator;

  void end(Position position, engine::FinishReason reason, const std::string& error);
  void forget(Position position);

  std::map<std::uint64_t, Flight> flights_;                 // by order of arrival
  std::unordered_map<std::uint64_t, std::uint64_t> order_;  // id -> place in flights_
  std::uint64_t arrivals_ = 0;
  std::size_t started_ = 0;
};

}  // namespace bundle::launch
