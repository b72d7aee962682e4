#include "tests/sizing/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>

namespace bundle::sizing {
namespace {

constexpr double kSoft = 0.1;   // errors beyond count linearly
constexpr double kPull = 0.03;  // of a factor e away from the start, in errors of 10 %
constexpr double kLeastStep = 0.002;

const std::vector<std::string>& engines() {
  static const std::vector<std::string> names{"vllm", "sglang", "trtllm", "trtllm-bench"};
  return names;
}

/// A constant of an engine, and its range.
struct EngineField {
  double EngineProfile::*value;
  double low;
  double high;
};

/// The constants as a vector: logarithms of efficiencies, then of the field of each engine.
class Fit {
 public:
  Fit(std::vector<Question>& questions, Efficiency efficiency,
      std::span<const EfficiencyField> fields, EngineField engine_field, std::string kind)
      : questions_(questions),
        efficiency_(efficiency),
        fields_(fields),
        engine_field_(engine_field),
        kind_(std::move(kind)) {
    for (const EfficiencyField& field : fields_) {
      add(efficiency.*field.value, field.low, field.high);
    }
    for (const std::string& engine : engines()) {
      add(engine_profile(engine).*engine_field.value, engine_field.low, engine_field.high);
    }
    best_ = start_;
    loss_ = loss(best_);
  }

  Efficiency run() {
    for (double step = 0.2; step > kLeastStep;) {
      if (!sweep(step)) step /= 2;
    }
    return apply(best_);
  }

  void print() const {
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      std::printf("%-20s %.3g\n", std::string(fields_[i].name).c_str(), std::exp(best_[i]));
    }
    for (std::size_t i = 0; i < engines().size(); ++i) {
      std::printf("  %-18s %.3g\n", engines()[i].c_str(), std::exp(best_[fields_.size() + i]));
    }
  }

 private:
  void add(double value, double low, double high) {
    low_.push_back(std::log(low));
    high_.push_back(std::log(high));
    start_.push_back(std::clamp(std::log(value), low_.back(), high_.back()));
  }

  Efficiency apply(const std::vector<double>& point) {
    Efficiency efficiency = efficiency_;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      efficiency.*fields_[i].value = std::exp(point[i]);
    }
    for (Question& question : questions_) {
      for (std::size_t i = 0; i < engines().size(); ++i) {
        if (question.row->engine == engines()[i]) {
          question.replica.profile.*engine_field_.value = std::exp(point[fields_.size() + i]);
        }
      }
    }
    return efficiency;
  }

  double loss(const std::vector<double>& point) {
    const Efficiency efficiency = apply(point);
    double sum = 0;
    for (const Question& question : questions_) {
      if (!question.row->calibrates || kind_of(*question.row) != kind_) continue;
      const double error =
          std::log(std::max(1e-9, predict(question, efficiency) / question.row->value)) / kSoft;
      sum += 2 * (std::sqrt(1 + error * error) - 1);
    }
    for (std::size_t i = 0; i < point.size(); ++i) {
      sum += std::pow(kPull / kSoft * (point[i] - start_[i]), 2);
    }
    return sum;
  }

  bool sweep(double step) {
    bool better = false;
    for (std::size_t i = 0; i < best_.size(); ++i) {
      for (const double sign : {1.0, -1.0}) {
        std::vector<double> point = best_;
        point[i] = std::clamp(point[i] + sign * step, low_[i], high_[i]);
        const double found = loss(point);
        if (found >= loss_ - 1e-6) continue;
        loss_ = found;
        best_ = std::move(point);
        better = true;
        break;
      }
    }
    return better;
  }

  std::vector<Question>& questions_;
  Efficiency efficiency_;
  std::span<const EfficiencyField> fields_;
  EngineField engine_field_;
  std::string kind_;
  std::vector<double> start_, low_, high_, best_;
  double loss_ = 0;
};

constexpr EfficiencyField kFirstToken[] = {{"burst", &Efficiency::burst, 0.005, 0.5}};

}  // namespace

Efficiency calibrate(std::vector<Question>& questions) {
  Fit speed(questions, Efficiency{}, efficiency_fields(), {&EngineProfile::overhead, 0.3, 3},
            "speed");
  const Efficiency paced = speed.run();
  std::printf("time a token; below, engines' overhead\n");
  speed.print();
  Fit first(questions, paced, kFirstToken, {&EngineProfile::admission_ms, 1, 1000}, "first token");
  const Efficiency efficiency = first.run();
  std::printf("time to the first token; below, engines' admission in ms\n");
  first.print();
  return efficiency;
}

}  // namespace bundle::sizing
