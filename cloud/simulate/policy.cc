#include "cloud/simulate/policy.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

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
  void forget(double before) {
    while (!values_.empty() && values_.front().first < before) values_.pop_front();
  }

 private:
  template <typename Choose>
  int pick(double now, double seconds, int otherwise, Choose choose) const {
    int best = otherwise;
    for (const auto& [time, value] : values_) {
      if (time >= now - seconds) best = choose(best, value);
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

/// The horizontal pod autoscaler on an external metric with an average target: ceil(total /
/// target), tolerance 0.1 of the present ratio, up by four pods or by doubling each 15 s, down
/// through a stabilization window.
class HpaPolicy : public ScalingPolicy {
 public:
  explicit HpaPolicy(const PolicySettings& settings) : settings_(settings) {}
  double interval() const override { return 15; }

  int desired(const ScalingSignals& signals) override {
    const int current = signals.provisioned;
    int wanted = recommend(signals.in_flight, current);
    window_.add(signals.now, wanted);
    if (wanted > current) {
      wanted = std::max(current, window_.lowest(signals.now, settings_.up_delay_seconds, wanted));
    } else {
      wanted =
          std::min(current, window_.highest(signals.now, settings_.down_delay_seconds, wanted));
    }
    window_.forget(signals.now -
                   std::max(settings_.down_delay_seconds, settings_.up_delay_seconds));
    return bounded(std::min(wanted, fastest_growth(signals)), settings_);
  }

 protected:
  /// HPA's rule of a moment, before windows.
  int recommend(double total, int current) const {
    constexpr double kTolerance = 0.1;
    if (current > 0) {
      const double ratio = total / (settings_.target * current);
      if (std::abs(ratio - 1) <= kTolerance) return bounded(current, settings_);
    }
    return bounded(std::ceil(total / settings_.target), settings_);
  }

  PolicySettings settings_;

 private:
  /// The policies of scale-up count from where the period of 15 s began.
  int fastest_growth(const ScalingSignals& signals) {
    constexpr double kPeriod = 15;
    grown_.add(signals.now, signals.provisioned);
    const int base = grown_.lowest(signals.now, kPeriod - 1e-6, signals.provisioned);
    grown_.forget(signals.now - kPeriod);
    return std::max(base + 4, base * 2);
  }

  Window window_;
  Window grown_;
};

/// KEDA: an HPA between one and the most, and a poll that wakes it from zero and puts it to sleep
/// after the cooldown.
class KedaPolicy final : public HpaPolicy {
 public:
  using HpaPolicy::HpaPolicy;

  int desired(const ScalingSignals& signals) override {
    if (signals.in_flight > 0) last_active_ = signals.now;
    if (settings_.min_replicas > 0) return HpaPolicy::desired(signals);
    if (signals.provisioned == 0) return signals.in_flight > 0 ? 1 : 0;
    const bool cold = signals.now - last_active_ >= settings_.idle_seconds;
    return cold ? 0 : std::max(1, HpaPolicy::desired(signals));
  }

 private:
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
      highest_ = std::max({highest_, panic, static_cast<double>(signals.provisioned)});
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
