// One replica under load, as a fluid: between two events the rates are constant, so that an hour of
// traffic costs as many steps as it has requests.
//
// Prompts are computed one after another at the profile's prefill rate. While some sequences
// generate, prompts take `prefill_share` of the time and decode steps the rest. A decode step of n
// sequences takes step_ms + n * step_ms_per_sequence and gives each of them one token. A request
// enters when the cache has room for its prompt and its output.
#pragma once

#include <deque>
#include <queue>
#include <utility>
#include <vector>

#include "cloud/simulate/profile.h"
#include "cloud/simulate/trace.h"

namespace bundle::cloud {

/// What became of one request; times in seconds from the trace's start, negative when not yet.
struct RequestOutcome {
  double arrival = 0;
  double first_token = -1;
  double finish = -1;
  int output_tokens = 0;

  double ttft() const { return first_token - arrival; }
  /// Mean time per token after the first.
  double tpot() const {
    return output_tokens > 1 ? (finish - first_token) / (output_tokens - 1) : 0;
  }
};

/// Not thread-safe. Holds references to trace, outcomes and profile.
class SimulatedReplica {
 public:
  SimulatedReplica(const LoadProfile& profile, const Trace& trace,
                   std::vector<RequestOutcome>& outcomes)
      : profile_(&profile), trace_(&trace), outcomes_(&outcomes) {}

  /// Takes a request at `now`, which is not before any earlier call.
  void submit(std::size_t request, double now);
  /// Lets time go on to `now`.
  void advance(double now);
  /// When the next request gets its first token or its last; infinity when idle.
  double next_event() const;

  std::size_t in_flight() const { return waiting_.size() + prefilling_.size() + running_.size(); }
  std::int64_t kv_used() const { return kv_used_; }
  /// The requests that have ended since the last call.
  std::vector<std::size_t> take_finished() { return std::exchange(finished_, {}); }
  /// Prompt tokens that wait for their computation.
  double prefill_backlog() const;

 private:
  struct Prefill {
    std::size_t request;
    double left;  // tokens
  };
  struct Running {
    double last_step;  // of the step clock
    std::size_t request;
    bool operator>(const Running& other) const { return last_step > other.last_step; }
  };

  double prefill_end() const;  // when the prompt at work is computed; infinity: none is
  double running_end() const;  // when the next sequence ends; infinity: none runs
  std::int64_t need(std::size_t request) const;
  void admit();
  /// After every change of what waits or runs.
  void set_rates();
  void complete(double now);

  const LoadProfile* profile_;
  const Trace* trace_;
  std::vector<RequestOutcome>* outcomes_;
  double now_ = 0;
  double steps_ = 0;         // decode steps done since the start, as a real number
  double prefill_rate_ = 0;  // tokens a second, now
  double step_rate_ = 0;     // steps a second, now
  std::int64_t kv_used_ = 0;
  std::vector<std::size_t> finished_;
  std::deque<std::size_t> waiting_;  // for room in the cache
  std::deque<Prefill> prefilling_;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
};

}  // namespace bundle::cloud
