#include "cloud/simulate/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cloud/simulate/replica.h"

namespace bundle::cloud {
namespace {

constexpr double kSeriesInterval = 15;

struct Node {
  SimulatedReplica replica;
  double ordered;
  double ready_at;
  double next;  // when something happens to it
  bool draining = false;
};

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

bool meets(const RequestOutcome& outcome, const Objective& objective) {
  if (outcome.finish < 0) return false;
  const bool first = objective.ttft_ms <= 0 || outcome.ttft() * 1000 <= objective.ttft_ms;
  return first && (objective.tpot_ms <= 0 || outcome.tpot() * 1000 <= objective.tpot_ms);
}

}  // namespace

/// Time moves from event to event: an arrival, a token boundary of a replica, a replica that is
/// ready, a second's sample.
class Simulation::Run {
 public:
  Run(const Trace& trace, const LoadProfile& profile, int replicas, const Objective& objective)
      : trace_(trace), profile_(profile), objective_(objective), outcomes_(trace.size()) {
    for (std::size_t i = 0; i < trace.size(); ++i) {
      outcomes_[i].arrival = trace[i].arrival;
      outcomes_[i].output_tokens = trace[i].output_tokens;
    }
    // What runs when the trace begins was started before it.
    for (int i = 0; i < replicas; ++i) order(0, 0);
    most_ = replicas;
  }

  void advance(double until) {
    while (!over()) {
      const double next = next_time();
      if (next > until) break;
      now_ = next;
      wake();
      arrive();
      work();
      if (now_ >= next_sample_) sample();
    }
    if (!over()) now_ = std::max(now_, until);
  }

  void scale_to(int wanted) {
    int count = provisioned();
    if (wanted == count) return;
    ++changes_;
    for (; count < wanted; ++count) order(now_, profile_.startup_seconds);
    for (; count > wanted; --count) drain_one();
    most_ = std::max(most_, wanted);
    let_go();
    wake();
  }

  double now() const { return now_; }
  bool over() const { return done_ == trace_.size() && now_ >= trace_.back().arrival; }
  std::int64_t missed() const { return missed_; }

  double replica_seconds() const {
    double seconds = retired_seconds_;
    for (const auto& node : nodes_) seconds += now_ - node->ordered;
    return seconds;
  }

  ScalingSignals signals() const {
    ScalingSignals now;
    now.now = now_;
    now.in_flight = static_cast<double>(held_.size());
    for (const auto& node : nodes_) {
      now.in_flight += static_cast<double>(node->replica.in_flight());
      if (node->draining) continue;
      ++now.provisioned;
      if (is_ready(*node)) ++now.ready;
    }
    now.in_flight_history = &in_flight_;
    now.arrivals_history = &arrivals_;
    return now;
  }

  SimulationResult result() const;

 private:
  double next_time() const {
    double next = next_sample_;
    if (arrived_ < trace_.size()) next = std::min(next, trace_[arrived_].arrival);
    for (const auto& node : nodes_) next = std::min(next, node->next);
    return std::max(next, now_);
  }

  int provisioned() const {
    return static_cast<int>(
        std::ranges::count_if(nodes_, [](const auto& node) { return !node->draining; }));
  }

  bool is_ready(const Node& node) const { return node.ready_at <= now_ && !node.draining; }

  void order(double now, double startup) {
    nodes_.push_back(std::make_unique<Node>(
        Node{SimulatedReplica(profile_, trace_, outcomes_), now, now + startup, now + startup}));
  }

  /// The ready replica with the least in flight, or null.
  Node* least_loaded() const {
    Node* best = nullptr;
    for (const auto& node : nodes_) {
      if (!is_ready(*node)) continue;
      if (best == nullptr || node->replica.in_flight() < best->replica.in_flight()) {
        best = node.get();
      }
    }
    return best;
  }

  void give(std::size_t request, Node& node) {
    node.replica.submit(request, now_);
    node.next = node.replica.next_event();
  }

  /// Held requests go to the first replica that is ready.
  void wake() {
    while (!held_.empty()) {
      Node* node = least_loaded();
      if (node == nullptr) return;
      longest_hold_ = std::max(longest_hold_, now_ - trace_[held_.front()].arrival);
      give(held_.front(), *node);
      held_.pop_front();
    }
  }

  void arrive() {
    while (arrived_ < trace_.size() && trace_[arrived_].arrival <= now_) {
      const std::size_t request = arrived_++;
      ++arrivals_in_second_;
      Node* node = least_loaded();
      if (node != nullptr) {
        give(request, *node);
      } else {
        held_.push_back(request);
      }
    }
  }

  void work() {
    for (const auto& node : nodes_) {
      if (node->next > now_) continue;
      node->replica.advance(now_);
      for (const std::size_t request : node->replica.take_finished()) {
        ++done_;
        if (!meets(outcomes_[request], objective_)) ++missed_;
      }
      node->next = node->replica.next_event();
    }
    let_go();
  }

  /// Drained replicas that have nothing left to do.
  void let_go() {
    if (draining_ == 0) return;
    std::erase_if(nodes_, [&](const std::unique_ptr<Node>& node) {
      const bool gone = node->draining && node->replica.in_flight() == 0;
      if (gone) {
        retired_seconds_ += now_ - node->ordered;
        starting_seconds_ += starting(*node);
        --draining_;
      }
      return gone;
    });
  }

  double starting(const Node& node) const { return std::min(now_, node.ready_at) - node.ordered; }

  void sample() {
    const ScalingSignals now = signals();
    in_flight_.push_back(now.in_flight);
    arrivals_.push_back(static_cast<double>(arrivals_in_second_));
    arrivals_in_second_ = 0;
    if (now.provisioned == 0) zero_seconds_ += 1;
    if (std::fmod(next_sample_, kSeriesInterval) == 0) {
      series_.push_back({now_, now.ready, now.provisioned, now.in_flight});
    }
    next_sample_ += 1;
  }

  /// What still starts goes first, then what has least to do: as little as possible is lost.
  void drain_one() {
    Node* victim = nullptr;
    const auto worse = [&](const Node& a, const Node& b) {
      if (is_ready(a) != is_ready(b)) return !is_ready(a);
      return a.replica.in_flight() < b.replica.in_flight();
    };
    for (const auto& node : nodes_) {
      if (node->draining) continue;
      if (victim == nullptr || worse(*node, *victim)) victim = node.get();
    }
    if (victim == nullptr) return;
    victim->draining = true;
    ++draining_;
  }

  const Trace& trace_;
  const LoadProfile& profile_;
  Objective objective_;
  std::vector<RequestOutcome> outcomes_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<std::size_t> held_;
  std::vector<double> in_flight_;
  std::vector<double> arrivals_;
  std::vector<ReplicaSample> series_;
  double now_ = 0;
  double next_sample_ = 0;
  double retired_seconds_ = 0;
  double starting_seconds_ = 0;
  double zero_seconds_ = 0;
  double longest_hold_ = 0;
  std::size_t arrived_ = 0;
  std::size_t done_ = 0;
  std::int64_t missed_ = 0;
  std::size_t arrivals_in_second_ = 0;
  int draining_ = 0;
  int changes_ = 0;
  int most_ = 0;
};

SimulationResult Simulation::Run::result() const {
  SimulationResult result;
  std::vector<double> ttft;
  std::vector<double> tpot;
  std::int64_t met = 0;
  for (const RequestOutcome& outcome : outcomes_) {
    met += meets(outcome, objective_) ? 1 : 0;
    ttft.push_back(outcome.ttft());
    tpot.push_back(outcome.tpot());
  }
  double starting_seconds = starting_seconds_;
  for (const auto& node : nodes_) starting_seconds += starting(*node);
  result.requests = static_cast<std::int64_t>(outcomes_.size());
  result.attainment = static_cast<double>(met) / static_cast<double>(outcomes_.size());
  result.replica_hours = replica_seconds() / 3600;
  result.starting_hours = starting_seconds / 3600;
  result.average_replicas = now_ > 0 ? replica_seconds() / now_ : 0;
  result.changes = changes_;
  result.most_replicas = most_;
  result.ttft_p50 = percentile(ttft, 0.5);
  result.ttft_p99 = percentile(ttft, 0.99);
  result.tpot_p50 = percentile(tpot, 0.5);
  result.tpot_p99 = percentile(tpot, 0.99);
  result.zero_seconds = zero_seconds_;
  result.longest_hold = longest_hold_;
  result.series = series_;
  return result;
}

Simulation::Simulation(const Trace& trace, const LoadProfile& profile, int replicas,
                       const Objective& objective)
    : run_(std::make_unique<Run>(trace, profile, replicas, objective)) {}
Simulation::~Simulation() = default;
Simulation::Simulation(Simulation&&) noexcept = default;
Simulation& Simulation::operator=(Simulation&&) noexcept = default;

void Simulation::advance(double until) { run_->advance(until); }
void Simulation::scale_to(int replicas) { run_->scale_to(replicas); }
double Simulation::now() const { return run_->now(); }
bool Simulation::over() const { return run_->over(); }
ScalingSignals Simulation::signals() const { return run_->signals(); }
std::int64_t Simulation::missed() const { return run_->missed(); }
double Simulation::replica_hours() const { return run_->replica_seconds() / 3600; }
SimulationResult Simulation::result() const { return run_->result(); }

Result<std::optional<SimulationResult>> simulate_within(const RunLimits& limits, const Trace& trace,
                                                        const LoadProfile& profile,
                                                        std::string_view policy,
                                                        const PolicySettings& settings,
                                                        const Objective& objective) {
  const bool sane = !trace.empty() && settings.min_replicas >= 0 && settings.max_replicas >= 1 &&
                    settings.max_replicas >= settings.min_replicas &&
                    settings.max_replicas <= 10000 && settings.target > 0;
  if (!sane) return Error{ErrorCode::kUsage, "the policy's bounds or target are out of range"};
  PolicySettings bounds = settings;
  if (policy == "static") bounds.min_replicas = bounds.max_replicas;
  BUNDLE_TRY(const auto scaler, make_policy(policy, bounds));
  Simulation run(trace, profile, bounds.min_replicas, objective);
  for (double at = limits.phase * scaler->interval(); !run.over(); at += scaler->interval()) {
    run.advance(at);
    if (run.over()) break;
    if (run.missed() > limits.misses || run.replica_hours() > limits.replica_hours) {
      return std::optional<SimulationResult>();
    }
    run.scale_to(scaler->desired(run.signals()));
  }
  std::optional<SimulationResult> result = run.result();
  result->policy = policy;
  result->settings = bounds;
  return result;
}

Result<SimulationResult> simulate(const Trace& trace, const LoadProfile& profile,
                                  std::string_view policy, const PolicySettings& settings,
                                  const Objective& objective) {
  BUNDLE_TRY(std::optional<SimulationResult> result,
             simulate_within({}, trace, profile, policy, settings, objective));
  return *std::move(result);
}

Json to_json(const SimulationResult& result, double price_per_replica_hour) {
  JsonArray series;
  for (const ReplicaSample& sample : result.series) {
    series.push_back(JsonArray{sample.time, sample.ready, sample.provisioned, sample.in_flight});
  }
  return JsonObject{
      {"policy", result.policy},
      {"min_replicas", result.settings.min_replicas},
      {"max_replicas", result.settings.max_replicas},
      {"target", result.settings.target},
      {"scale_up_delay_seconds", result.settings.up_delay_seconds},
      {"scale_down_delay_seconds", result.settings.down_delay_seconds},
      {"requests", result.requests},
      {"attainment", result.attainment},
      {"worst_replay", result.worst_replay < 0 ? Json(nullptr) : Json(result.worst_replay)},
      {"replica_hours", result.replica_hours},
      {"cost", result.replica_hours * price_per_replica_hour},
      {"starting_hours", result.starting_hours},
      {"average_replicas", result.average_replicas},
      {"most_replicas", result.most_replicas},
      {"changes", result.changes},
      {"ttft_p50_ms", result.ttft_p50 * 1000},
      {"ttft_p99_ms", result.ttft_p99 * 1000},
      {"tpot_p50_ms", result.tpot_p50 * 1000},
      {"tpot_p99_ms", result.tpot_p99 * 1000},
      {"zero_seconds", result.zero_seconds},
      {"longest_hold_seconds", result.longest_hold},
      {"series", std::move(series)}};
}

}  // namespace bundle::cloud
