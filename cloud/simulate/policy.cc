#include "cloud/simulate/policy.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

namespace bundle::cloud {
namespace {

int bounded(double wanted, const PolicySettings& settings) {
  const double limited = std::clamp(wanted, static_cast<double>(settings.min_replicas),
                                    static_cast<double>(settings.max_replicas));
  return static_cast<int>(limited);
}

/// Mean of the last `seconds` samples.
double recent_mean(const std::vector<double>& history, double seconds) {
  const std::size_t n = std::min(history.size(), static_cast<std::size_t>(std::max(1.0, seconds)));
  if (n == 0) return 0;
  double sum = 0;
  for (std::size_t i = history.size() - n; i < history.size(); ++i) sum += history[i];
  return sum / static_cast<double>(n);
}

/// Recommendations of the last so many seconds, for stabilization windows.
class Window {
 public:
  void add(double now, int value) { values_.push_back({now, value}); }
  int highest(double now, double seconds, int otherwise) const {
    return pick(now, seconds, otherwise, [](int a, int b) { return std::max(a, b); });
  }
  int lowest(double now, double seconds, int otherwise) const {
    return pick(now, seconds, otherwise, [](int a, int b) { return std::min(a, b); });
  }
  int sum(double now, double seconds) const {
    return pick(now, seconds, 0, [](int a, int b) { return a + b; });
  }
  void forget(double before) {
    while (!values_.empty() && values_.front().first <= before) values_.pop_front();
  }

 private:
  /// What is as old as the window is long has left it.
  template <typename Choose>
  int pick(double now, double seconds, int otherwise, Choose choose) const {
    int best = otherwise;
    for (const auto& [time, value] : values_) {
      if (time > now - seconds) best = choose(best, value);
    }
    return best;
  }
  std::deque<std::pair<double, int>> values_;
};

class StaticPolicy final : public ScalingPolicy {
 public:
  explicit StaticPolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 3600; }
  int desired(const ScalingSignals&) override { return settings_.max_replicas; }

 private:
  PolicySettings settings_;
};

/// The horizontal pod autoscaler on an external metric with an average target, configured as the
/// Kubernetes target renders it: ceil(total / target), tolerance 0.1 of the present ratio, up by
/// four pods or by doubling each 15 s, down through a stabilization window and by one each minute.
class HpaPolicy : public ScalingPolicy {
 public:
  explicit HpaPolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 15; }

  int desired(const ScalingSignals& signals) override {
    const int current = signals.provisioned;
    if (current > settings_.max_replicas) return settings_.max_replicas;
    if (current < settings_.min_replicas) return settings_.min_replicas;
    // The controller takes the count that it finds for its first recommendation.
    if (!std::exchange(begun_, true)) recommended_.add(signals.now, current);
    const int wanted = stabilized(signals.now, recommend(signals.in_flight, current), current);
    return rate_limited(signals.now, wanted, current);
  }

 private:
  static constexpr double kUpPeriod = 15;
  static constexpr double kDownPeriod = 60;

  /// The rule of a moment, before windows and bounds.
  int recommend(double total, int current) const {
    constexpr double kTolerance = 0.1;
    const double ratio = total / (settings_.target * current);
    if (current > 0 && std::abs(ratio - 1) <= kTolerance) return current;
    return static_cast<int>(std::ceil(total / settings_.target));
  }

  /// The lowest of the upward window lets it grow, the highest of the downward window shrink.
  int stabilized(double now, int recommendation, int current) {
    recommended_.add(now, recommendation);
    const int up = recommended_.lowest(now, settings_.up_delay_seconds, recommendation);
    const int down = recommended_.highest(now, settings_.down_delay_seconds, recommendation);
    recommended_.forget(now - std::max(settings_.down_delay_seconds, settings_.up_delay_seconds));
    if (current < up) return up;
    return std::min(current, down);
  }

  /// Changes of a period count from the number that there was when it began.
  int rate_limited(double now, int wanted, int current) {
    if (wanted > current) {
      const int base = current - grown_.sum(now, kUpPeriod);
      const int limit = std::max({current, base + 4, base * 2});
      wanted = std::min({wanted, limit, settings_.max_replicas});
      grown_.add(now, wanted - current);
    } else if (wanted < current) {
      const int base = current + shrunk_.sum(now, kDownPeriod);
      const int limit = std::min(current, base - 1);
      wanted = std::max({wanted, limit, settings_.min_replicas});
      if (wanted < current) shrunk_.add(now, current - wanted);
    }
    grown_.forget(now - kUpPeriod);
    shrunk_.forget(now - kDownPeriod);
    return wanted;
  }

  PolicySettings settings_;
  bool begun_ = false;
  Window recommended_;
  Window grown_;
  Window shrunk_;
};

/// KEDA: an HPA between one and the most, and a poll that wakes it from zero and puts it to sleep
/// after the cooldown.
class KedaPolicy final : public ScalingPolicy {
 public:
  explicit KedaPolicy(const PolicySettings& settings)
      : settings_(settings), hpa_(at_least_one(settings)) {}
  double interval() const override { return hpa_.interval(); }

  int desired(const ScalingSignals& signals) override {
    if (signals.in_flight > 0) last_active_ = signals.now;
    if (settings_.min_replicas > 0) return hpa_.desired(signals);
    if (signals.provisioned == 0) return signals.in_flight > 0 ? 1 : 0;
    const bool cold = signals.now - last_active_ >= settings_.idle_seconds;
    return cold ? 0 : hpa_.desired(signals);
  }

 private:
  static PolicySettings at_least_one(PolicySettings settings) {
    settings.min_replicas = std::max(1, settings.min_replicas);
    return settings;
  }

  PolicySettings settings_;
  HpaPolicy hpa_;
  double last_active_ = 0;
};

/// Knative's pod autoscaler: the mean of a minute, and a panic of six seconds that only goes up.
class KpaPolicy final : public ScalingPolicy {
 public:
  explicit KpaPolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 2; }

  int desired(const ScalingSignals& signals) override {
    constexpr double kStable = 60;
    constexpr double kPanic = 6;
    constexpr double kThreshold = 2;
    const double stable =
        std::ceil(recent_mean(*signals.in_flight_history, kStable) / settings_.target);
    const double panic =
        std::ceil(recent_mean(*signals.in_flight_history, kPanic) / settings_.target);
    const int ready = std::max(1, signals.ready);
    if (panic / ready >= kThreshold) panic_until_ = signals.now + kStable;
    double wanted = std::max(stable, std::floor(ready / 2.0));  // at most half goes at a tick
    if (signals.now < panic_until_) {
      highest_ = std::max({highest_, panic, wanted, static_cast<double>(signals.provisioned)});
      wanted = highest_;
    } else {
      highest_ = 0;
    }
    if (stable == 0 && recent_mean(*signals.in_flight_history, settings_.idle_seconds) == 0) {
      wanted = 0;
    } else {
      wanted = std::max(1.0, wanted);
    }
    window_.add(signals.now, bounded(wanted, settings_));
    window_.forget(signals.now - settings_.down_delay_seconds);
    return window_.highest(signals.now, settings_.down_delay_seconds, bounded(wanted, settings_));
  }

 private:
  PolicySettings settings_;
  Window window_;
  double panic_until_ = -1;
  double highest_ = 0;
};

/// AWS target tracking on a metric each minute: out when three minutes lie above the target, in
/// when fifteen lie below nine tenths of it; the step is proportional.
class TargetTrackingPolicy final : public ScalingPolicy {
 public:
  explicit TargetTrackingPolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 60; }

  int desired(const ScalingSignals& signals) override {
    const int ready = std::max(1, signals.ready);
    const double metric = recent_mean(*signals.in_flight_history, 60) / ready;
    above_ = metric > settings_.target ? above_ + 1 : 0;
    below_ = metric < 0.9 * settings_.target ? below_ + 1 : 0;
    int wanted = signals.provisioned;
    if (above_ >= 3) {
      wanted = std::max(wanted, static_cast<int>(std::ceil(ready * metric / settings_.target)));
    } else if (below_ >= 15) {
      wanted = std::min(wanted, static_cast<int>(std::ceil(ready * metric / settings_.target)));
      below_ = 0;
    }
    return bounded(wanted, settings_);
  }

 private:
  PolicySettings settings_;
  int above_ = 0;
  int below_ = 0;
};

/// SkyServe: requests of the last minute over the target rate; a counter of decisions that agree
/// delays each change, and one that does not sets it back.
class SkyServePolicy final : public ScalingPolicy {
 public:
  explicit SkyServePolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 20; }

  int desired(const ScalingSignals& signals) override {
    const double rate = recent_mean(*signals.arrivals_history, 60);
    const int wanted = bounded(std::ceil(rate / settings_.target), settings_);
    const int current = target_ < 0 ? signals.provisioned : target_;
    up_ = wanted > current ? up_ + 1 : 0;
    down_ = wanted < current ? down_ + 1 : 0;
    target_ = current;
    const double delay =
        wanted > current ? settings_.up_delay_seconds : settings_.down_delay_seconds;
    const int agreed = wanted > current ? up_ : down_;
    if (wanted != current && agreed * interval() >= delay) {
      target_ = wanted;
      up_ = down_ = 0;
    }
    return target_;
  }

 private:
  PolicySettings settings_;
  int target_ = -1;
  int up_ = 0;
  int down_ = 0;
};

template <typename Policy>
std::unique_ptr<ScalingPolicy> make(const PolicySettings& settings) {
  return std::make_unique<Policy>(settings);
}

struct Known {
  const char* name;
  std::unique_ptr<ScalingPolicy> (*make)(const PolicySettings&);
};
constexpr Known kPolicies[] = {{"static", make<StaticPolicy>},
                               {"hpa", make<HpaPolicy>},
                               {"keda", make<KedaPolicy>},
                               {"kpa", make<KpaPolicy>},
                               {"target-tracking", make<TargetTrackingPolicy>},
                               {"skyserve", make<SkyServePolicy>}};

}  // namespace

Result<std::unique_ptr<ScalingPolicy>> make_policy(std::string_view name,
                                                   const PolicySettings& settings) {
  for (const Known& known : kPolicies) {
    if (known.name == name) return known.make(settings);
  }
  std::string all;
  for (const Known& known : kPolicies) all += (all.empty() ? "" : ", ") + std::string(known.name);
  return Error{ErrorCode::kUsage, "there is no policy '" + std::string(name) + "'", "",
               "Policies: " + all + "."};
}

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const Known& known : kPolicies) names.emplace_back(known.name);
  return names;
}

}  // namespace bundle::cloud
