#include "cloud/simulate/search.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <map>
#include <random>
#include <thread>

namespace bundle::cloud {
namespace {

constexpr int kReplays = 3;
constexpr double kMore = 1.15;  // load of the last replay
constexpr std::size_t kBatch =
    8;  // runs that share what is known before them, whatever the threads

/// Reached the goal beats not; then the cheaper one, or the one that comes nearer.
bool is_better(const SimulationResult& a, const SimulationResult& b, double goal) {
  const bool a_meets = a.attainment >= goal;
  if (a_meets != (b.attainment >= goal)) return a_meets;
  if (a_meets && a.replica_hours != b.replica_hours) return a.replica_hours < b.replica_hours;
  return a.attainment > b.attainment;
}

template <typename T>
void make_unique_sorted(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

/// At most `most` of `first`…`last`, both ends among them.
std::vector<int> spread(int first, int last, int most) {
  std::vector<int> values;
  const int steps = std::min(most, last - first + 1) - 1;
  for (int i = 0; i < steps; ++i) values.push_back(first + (last - first) * i / steps);
  values.push_back(last);
  return values;
}

enum Axis : std::size_t { kFloor, kTarget, kDown, kUp, kTop, kAxes };
using Point = std::array<std::size_t, kAxes>;

/// The values that a scaler's settings may take: such as its configuration can say exactly.
struct Lattice {
  std::array<std::vector<double>, kAxes> values;

  PolicySettings at(const Point& point) const {
    PolicySettings settings;
    settings.min_replicas = static_cast<int>(values[kFloor][point[kFloor]]);
    settings.max_replicas = static_cast<int>(values[kTop][point[kTop]]);
    settings.target = values[kTarget][point[kTarget]];
    settings.down_delay_seconds = values[kDown][point[kDown]];
    settings.up_delay_seconds = values[kUp][point[kUp]];
    return settings;
  }
};

/// What 95 in 100 do not exceed.
double usual_most(std::vector<double> values) {
  if (values.empty()) return 0;
  const std::size_t at = (values.size() - 1) * 95 / 100;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

/// Around what a scaler's target must lie: what a replica carries at busy times when just as many
/// run as hold the goal. Requests in flight, or for SkyServe requests a second.
double usual_load(const std::string& policy, const Trace& trace, const SimulationResult& fixed) {
  constexpr double kMinute = 60;
  std::vector<double> loads;
  if (policy == "skyserve") {
    loads.resize(static_cast<std::size_t>(trace.back().arrival / kMinute) + 1);
    for (const TraceRequest& request : trace) {
      loads[static_cast<std::size_t>(request.arrival / kMinute)] += 1 / kMinute;
    }
  } else {
    for (const ReplicaSample& sample : fixed.series) loads.push_back(sample.in_flight);
  }
  return usual_most(std::move(loads)) / fixed.settings.max_replicas;
}

std::vector<double> targets_of(const std::string& policy, double load) {
  std::vector<double> targets;
  for (const double share :
       {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.8, 2.2}) {
    const double target = share * load;
    targets.push_back(policy == "skyserve" ? std::max(0.001, std::round(target * 1000) / 1000)
                                           : std::max(1.0, std::round(target)));
  }
  make_unique_sorted(targets);
  return targets;
}

std::vector<double> tops_of(int fixed, int most) {
  std::vector<double> tops;
  for (const double times : {1.0, 1.25, 1.5, 2.0, 3.0}) {
    tops.push_back(std::min<double>(most, std::ceil(times * fixed)));
  }
  make_unique_sorted(tops);
  return tops;
}

Lattice lattice_of(const std::string& policy, int fixed, int most, double load) {
  constexpr int kMostFloors = 12;
  Lattice lattice;
  const std::vector<int> floors =
      policy == "keda" ? std::vector<int>{0} : spread(1, std::max(1, fixed - 1), kMostFloors);
  lattice.values[kFloor].assign(floors.begin(), floors.end());
  lattice.values[kTarget] = targets_of(policy, load);
  lattice.values[kTop] = tops_of(fixed, most);
  lattice.values[kDown] = {60, 120, 300, 600, 900, 1800, 3600};
  lattice.values[kUp] = {0};
  if (policy == "hpa" || policy == "keda") lattice.values[kUp] = {0, 30, 60};
  if (policy == "skyserve") lattice.values[kUp] = {20, 60, 120, 300};
  if (policy == "target-tracking") lattice.values[kDown] = {300};
  return lattice;
}

/// The indices of the values nearest to these shares of the axis' largest.
std::vector<std::size_t> at_shares(const std::vector<double>& axis,
                                   std::initializer_list<double> shares) {
  std::vector<std::size_t> indices;
  for (const double share : shares) {
    const auto above = std::lower_bound(axis.begin(), axis.end(), share * axis.back());
    indices.push_back(static_cast<std::size_t>(above - axis.begin()));
  }
  make_unique_sorted(indices);
  return indices;
}

/// The grid from which the search begins: twice the fixed number at most, no upward delay. High
/// floors come first: what holds the goal early lets what does not be given up early.
std::vector<Point> coarse_grid(const Lattice& lattice) {
  std::vector<std::size_t> downs = {0};
  if (lattice.values[kDown].size() > 4) downs = {2, 4};
  const std::size_t top = std::min<std::size_t>(3, lattice.values[kTop].size() - 1);
  std::vector<Point> grid;
  std::vector<std::size_t> floors = at_shares(lattice.values[kFloor], {0, 0.5, 0.75, 1});
  std::ranges::reverse(floors);
  for (const std::size_t floor : floors) {
    for (const std::size_t target : at_shares(lattice.values[kTarget], {0.14, 0.27, 0.41, 0.55})) {
      for (const std::size_t down : downs) grid.push_back({floor, target, down, 0, top});
    }
  }
  return grid;
}

/// One step along an axis, or along two of which one makes dearer what the other makes cheaper.
std::vector<Point> neighbours(const Lattice& lattice, const Point& point) {
  std::vector<std::array<int, kAxes>> moves;
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    for (const int step : {-1, 1}) {
      std::array<int, kAxes> move{};
      move[axis] = step;
      moves.push_back(move);
    }
  }
  for (const int step : {-1, 1}) {
    moves.push_back({step, step, 0, 0, 0});
    moves.push_back({step, 0, -step, 0, 0});
    moves.push_back({0, step, step, 0, 0});
  }
  std::vector<Point> points;
  for (const auto& move : moves) {
    Point next = point;
    bool inside = true;
    for (std::size_t axis = 0; axis < kAxes; ++axis) {
      const auto at = static_cast<std::ptrdiff_t>(point[axis]) + move[axis];
      inside &= at >= 0 && at < static_cast<std::ptrdiff_t>(lattice.values[axis].size());
      next[axis] = static_cast<std::size_t>(at);
    }
    if (inside) points.push_back(next);
  }
  return points;
}

/// Calls work(0) … work(count - 1), on several threads.
template <typename Work>
void in_parallel(std::size_t count, int threads, Work work) {
  const auto most = static_cast<std::size_t>(
      threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  std::atomic<std::size_t> next = 0;
  const auto loop = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < std::min(count, most); ++i) others.emplace_back(loop);
  loop();
  for (std::thread& other : others) other.join();
}

Status told(const Progress& progress, const std::string& stage, std::uint64_t done) {
  if (!progress || progress(stage, done, 0)) return {};
  return Error{ErrorCode::kInterrupted, "stopped while settings were tried"};
}

}  // namespace

/// The search of one policy. Its runs are given up as soon as they cannot matter.
class ScalerSearch::Descent {
 public:
  Descent(ScalerSearch& search, std::string policy)
      : search_(search),
        policy_(std::move(policy)),
        goal_(search.options_.goal),
        lattice_(lattice_of(policy_, search.fixed_.settings.max_replicas,
                            search.options_.max_replicas,
                            usual_load(policy_, search.trace_, search.fixed_))) {}

  Result<SimulationResult> run() {
    BUNDLE_CHECK(try_out(coarse_grid(lattice_)));
    for (const Point& start : starts()) BUNDLE_CHECK(descend(start));
    return pick();
  }

 private:
  /// The best of each floor, as far as they are among the first three.
  std::vector<Point> starts() const {
    constexpr std::size_t kMost = 3;
    std::vector<Point> chosen;
    for (const Point& point : by_rank()) {
      const bool is_new = std::ranges::none_of(
          chosen, [&](const Point& other) { return other[kFloor] == point[kFloor]; });
      if (is_new && chosen.size() < kMost) chosen.push_back(point);
    }
    return chosen;
  }

  Status descend(Point at) {
    constexpr int kMostSteps = 8;
    for (int step = 0; step < kMostSteps; ++step) {
      const std::vector<Point> around = neighbours(lattice_, at);
      BUNDLE_CHECK(try_out(around));
      Point best = at;
      for (const Point& point : around) {
        if (beats(point, best)) best = point;
      }
      if (best == at) break;
      at = best;
    }
    return {};
  }

  /// Runs what has not been run, a batch at a time.
  Status try_out(std::vector<Point> points) {
    std::erase_if(points, [&](const Point& point) { return tried_.contains(point); });
    for (std::size_t begin = 0; begin < points.size(); begin += kBatch) {
      const std::size_t count = std::min(kBatch, points.size() - begin);
      BUNDLE_CHECK(told(search_.progress_, "trying " + policy_, search_.tried_));
      const RunLimits within = limits();
      std::vector<Result<std::optional<SimulationResult>>> runs(count,
                                                                std::optional<SimulationResult>());
      in_parallel(count, search_.options_.threads, [&](std::size_t i) {
        runs[i] = simulate_within(within, search_.trace_, search_.profile_, policy_,
                                  lattice_.at(points[begin + i]), search_.options_.objective);
      });
      search_.tried_ += count;
      for (std::size_t i = 0; i < count; ++i) {
        BUNDLE_TRY(std::optional<SimulationResult> run, std::move(runs[i]));
        if (run) run->series.clear();
        if (run && (!best_ || is_better(*run, *best_, goal_))) best_ = *run;
        tried_[points[begin + i]] = std::move(run);
      }
    }
    return {};
  }

  /// Dearer by more than a tenth than what reaches the goal, or with more misses than the goal
  /// allows or the nearest has: such a run says nothing new.
  RunLimits limits() const {
    RunLimits limits;
    if (!best_) return limits;
    const auto requests = static_cast<double>(search_.trace_.size());
    const double share = std::max(1 - goal_, 1 - best_->attainment);
    limits.misses = static_cast<std::int64_t>(std::ceil(share * requests));
    if (best_->attainment >= goal_) limits.replica_hours = 1.1 * best_->replica_hours;
    return limits;
  }

  bool beats(const Point& a, const Point& b) const {
    const auto& first = tried_.at(a);
    const auto& second = tried_.at(b);
    if (!first || !second) return first.has_value() && !second;
    return is_better(*first, *second, goal_);
  }

  /// What was run to the end, the best first.
  std::vector<Point> by_rank() const {
    std::vector<Point> points;
    for (const auto& [point, run] : tried_) {
      if (run) points.push_back(point);
    }
    std::stable_sort(points.begin(), points.end(),
                     [&](const Point& a, const Point& b) { return beats(a, b); });
    return points;
  }

  /// The cheapest that holds the goal in the replays too, looked for in growing steps: what costs
  /// a little more is often much steadier.
  Result<SimulationResult> pick() {
    std::optional<SimulationResult> steadiest;
    const std::vector<Point> ranked = by_rank();
    for (std::size_t at = 0; at < ranked.size(); at += std::max<std::size_t>(1, at / 2)) {
      SimulationResult run = *tried_.at(ranked[at]);
      if (steadiest && run.attainment < goal_) break;
      BUNDLE_CHECK(told(search_.progress_, "replaying " + policy_, search_.tried_));
      BUNDLE_TRY(run.worst_replay, search_.worst_replay(run));
      if (!steadiest || run.worst_replay > steadiest->worst_replay) steadiest = std::move(run);
      if (is_sound(*steadiest, goal_)) break;
    }
    // Again, for the series that the search had no need of.
    BUNDLE_TRY(SimulationResult found, simulate(search_.trace_, search_.profile_, policy_,
                                                steadiest->settings, search_.options_.objective));
    found.worst_replay = steadiest->worst_replay;
    return found;
  }

  ScalerSearch& search_;
  std::string policy_;
  double goal_;
  Lattice lattice_;
  std::map<Point, std::optional<SimulationResult>> tried_;  // none: given up
  std::optional<SimulationResult> best_;
};

bool is_sound(const SimulationResult& run, double goal) {
  constexpr double kMargin = 0.25;  // of the misses that the goal allows
  if (run.policy == "static") return run.attainment >= goal;
  return run.attainment >= goal + kMargin * (1 - goal) && run.worst_replay >= goal;
}

ScalerSearch::ScalerSearch(const Trace& trace, const LoadProfile& profile,
                           const SearchOptions& options, const SimulationResult& fixed,
                           const Progress& progress)
    : trace_(trace), profile_(profile), options_(options), fixed_(fixed), progress_(progress) {
  for (int i = 1; i <= kReplays; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    replays_.push_back(replayed(i < kReplays ? trace : multiplied(trace, kMore, seed), seed));
  }
}

Result<SimulationResult> ScalerSearch::run(const std::string& policy) {
  return Descent(*this, policy).run();
}

Result<double> ScalerSearch::worst_replay(const SimulationResult& run) {
  std::vector<Result<std::optional<SimulationResult>>> runs(replays_.size(),
                                                            std::optional<SimulationResult>());
  in_parallel(replays_.size(), options_.threads, [&](std::size_t i) {
    RunLimits limits;
    limits.phase = static_cast<double>(i + 1) / (kReplays + 1);
    runs[i] = simulate_within(limits, replays_[i], profile_, run.policy, run.settings,
                              options_.objective);
  });
  tried_ += replays_.size();
  double worst = 1;
  for (auto& one : runs) {
    BUNDLE_TRY(const std::optional<SimulationResult> result, std::move(one));
    worst = std::min(worst, result->attainment);
  }
  return worst;
}

Result<SimulationResult> search_fixed(const Trace& trace, const LoadProfile& profile,
                                      const SearchOptions& options, const Progress& progress) {
  std::uint64_t tried = 0;
  const auto run = [&](int count) -> Result<SimulationResult> {
    BUNDLE_CHECK(told(progress, "trying static", tried++));
    PolicySettings settings;
    settings.min_replicas = settings.max_replicas = count;
    return simulate(trace, profile, "static", settings, options.objective);
  };
  // More can only be better: the count doubles until it is enough, then the gap is halved.
  int few = 0;
  int enough = 1;
  BUNDLE_TRY(SimulationResult best, run(enough));
  while (best.attainment < options.goal && enough < options.max_replicas) {
    few = enough;
    enough = std::min(2 * enough, options.max_replicas);
    BUNDLE_TRY(best, run(enough));
  }
  while (best.attainment >= options.goal && enough - few > 1) {
    const int middle = (few + enough) / 2;
    BUNDLE_TRY(SimulationResult tried_middle, run(middle));
    if (tried_middle.attainment >= options.goal) {
      enough = middle;
      best = std::move(tried_middle);
    } else {
      few = middle;
    }
  }
  return best;
}

Trace replayed(const Trace& trace, std::uint64_t seed) {
  constexpr std::ptrdiff_t kNeighbours = 32;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> shift(-1, 1);
  std::uniform_int_distribution<std::ptrdiff_t> away(-kNeighbours, kNeighbours);
  Trace other = trace;
  const auto last = static_cast<std::ptrdiff_t>(trace.size()) - 1;
  for (std::ptrdiff_t i = 0; i <= last; ++i) {
    const auto from =
        static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i + away(random), 0, last));
    TraceRequest& request = other[static_cast<std::size_t>(i)];
    request = trace[from];
    request.arrival = std::max(0.0, trace[static_cast<std::size_t>(i)].arrival + shift(random));
  }
  std::stable_sort(other.begin(), other.end(),
                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
  return other;
}

}  // namespace bundle::cloud
