#include "runtime/sizing/serving.h"

#include <algorithm>
#include <cmath>

namespace bundle::sizing {
namespace {

/// More sequences at once gain nothing on any engine here: the step grows as they do.
constexpr double kMostSequences = 4096;
/// Share of its output that a request has produced at the mean when it holds a place: requests of
/// different ages share the cache.
constexpr double kMeanProgress = 0.75;
/// Utilization of prefill at which a queue counts as endless.
constexpr double kMostBusy = 0.95;

class Copy {
 public:
  Copy(const Replica& replica, const Load& load, const Efficiency& efficiency)
      : replica_(replica), load_(load), efficiency_(efficiency) {
    most_ = std::max(1.0, std::floor(static_cast<double>(replica.kv_tokens) /
                                     (load.input_tokens + kMeanProgress * load.output_tokens)));
    stages_ = static_cast<double>(replica.work.layout.pp);
  }

  double most_active() const { return most_; }

  /// As many as fit, prompts spread evenly over the steps.
  Served saturated() const {
    Served served;
    served.active = std::min(most_, kMostSequences);
    const double prompts = served.active * load_.input_tokens / load_.output_tokens;
    const double time = steps(served.active, prompts).total();
    served.tpot = time;
    served.tokens_s = served.active / time;
    finish(served);
    return served;
  }

  /// `users` in a closed loop. Prompts come in one piece and hold up the others.
  Served closed(double users) const {
    Served served;
    served.active = std::min(users, most_);
    const double decode = steps(served.active, 0).total();
    const double prompt = steps(served.active, load_.input_tokens).total() - decode;
    served.tpot = decode + (served.active - 1) / load_.output_tokens * prompt / stages_;
    const double over = users / served.active;
    if (over > 1) wait(served, users);
    served.tokens_s = served.active / served.tpot;
    const double busy =
        std::min(kMostBusy, served.active * prompt / stages_ / (load_.output_tokens * served.tpot));
    const double alone = steps(0, load_.input_tokens).total();
    // The mean of a queue with one server and equal jobs, and of users who come together.
    const double queue = busy / (2 * (1 - busy)) + efficiency_.burst * (served.active - 1);
    served.ttft = replica_.profile.admission_ms * 1e-3 + served.wait + decode / 2 + alone +
                  queue * prompt / stages_;
    finish(served);
    return served;
  }

  /// Users such that they send `rate` requests a second (Little's law); `saturated` when not even
  /// all that fit do.
  Served open(double rate) const {
    double low = 1;
    double high = most_;
    Served served = closed(high);
    if (served.tokens_s / load_.output_tokens < rate) {
      served.saturated = true;
      return served;
    }
    for (int i = 0; i < 40 && high - low > 0.01; ++i) {
      const double middle = (low + high) / 2;
      served = closed(middle);
      (served.tokens_s / load_.output_tokens < rate ? low : high) = middle;
    }
    return closed(high);
  }

 private:
  StepTime steps(double sequences, double prompts) const {
    // With pipeline stages each works on its own share of the sequences at a time.
    Step step;
    step.sequences = sequences / stages_;
    step.context = load_.input_tokens + load_.output_tokens / 2;
    step.prompt_tokens = prompts / (sequences > 0 ? stages_ : 1);
    step.prompt_context = load_.input_tokens / 2;
    return step_time(replica_.work, replica_.gpu, replica_.fabric, efficiency_, replica_.profile,
                     step);
  }

  /// More users than places. An engine that starts all of them takes the memory of some back and
  /// computes them again (the time shows between tokens), another lets them wait.
  void wait(Served& served, double users) const {
    const double started =
        std::min(users, static_cast<double>(replica_.kv_tokens) / load_.input_tokens);
    served.tpot *= std::pow(std::max(1.0, started / served.active), replica_.profile.preemption);
    const double placed = replica_.profile.preemption > 0 ? started : served.active;
    served.wait = (users - placed) / placed * load_.output_tokens * served.tpot;
  }

  void finish(Served& served) const {
    served.most_active = most_;
    served.decode = steps(served.active, 0);
    served.prompt_tokens_s = load_.input_tokens / steps(0, load_.input_tokens).total() * stages_;
    // A stage works on its own share of the sequences; a token passes all stages.
    const Step step{served.active / stages_, load_.input_tokens + load_.output_tokens / 2, 0, 0};
    served.tpot_bound = step_bound(replica_.work, replica_.gpu, efficiency_, step);
    served.tokens_s_bound = served.active / served.tpot_bound;
  }

  const Replica& replica_;
  const Load& load_;
  const Efficiency& efficiency_;
  double most_ = 1;
  double stages_ = 1;
};

}  // namespace

Served serve_load(const Replica& replica, const Load& load, const Efficiency& efficiency) {
  const Copy copy(replica, load, efficiency);
  if (load.concurrency > 0) return copy.closed(load.concurrency);
  if (load.rate > 0) return copy.open(load.rate);
  return copy.saturated();
}

Served serve_within(const Replica& replica, const Load& load, const Efficiency& efficiency,
                    double tpot) {
  const Copy copy(replica, load, efficiency);
  double low = 1;
  double high = std::min(copy.most_active(), kMostSequences);
  if (copy.closed(high).tpot <= tpot) return copy.closed(high);
  while (high - low > 0.5) {
    const double middle = (low + high) / 2;
    (copy.closed(middle).tpot <= tpot ? low : high) = middle;
  }
  return copy.closed(std::floor(low));
}

}  // namespace bundle::sizing
