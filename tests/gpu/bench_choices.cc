// The choice of tokens from rows of logits, as a decode step ends with it.
#include <cmath>
#include <limits>
#include <random>

#include "tests/gpu/bench.h"

namespace bundle::kernels::cuda {
namespace {

struct Form {
  const char* name;
  RowChoice choice;
};

constexpr double kAll = -std::numeric_limits<double>::infinity();
// row, uniform, top_p, offset, scale, top_k
constexpr Form kForms[] = {
    {"greedy", {0, 0.4, 1.0, kAll, -1.0f, 0}},
    {"T 1", {0, 0.4, 1.0, kAll, 1.0f, 0}},
    {"T 0.6, top_p 0.95", {0, 0.4, 0.95, kAll, 1.0f / 0.6f, 0}},
    {"T 0.6, top_k 40, top_p 0.95", {0, 0.4, 0.95, kAll, 1.0f / 0.6f, 40}},
    {"T 3, top_p 0.95", {0, 0.4, 0.95, kAll, 1.0f / 3.0f, 0}},  // thousands of tokens stay
};

/// A hill of likely tokens over a plain, as models give them.
std::vector<float> random_logits(std::int64_t rows, std::int64_t cols) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> once(static_cast<std::size_t>(2 * cols));
  for (float& value : once) value = 2.5f * normal(random);
  for (std::size_t i = 0; i < once.size(); i += 997) once[i] += 12.0f;
  std::vector<float> values;
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto first = once.begin() + static_cast<std::ptrdiff_t>(random() % cols);
    values.insert(values.end(), first, first + cols);
  }
  return values;
}

std::vector<Timing> bench_rows(const Subject& subject, std::int64_t rows, std::int64_t cols) {
  Pool pool(subject);
  const std::int64_t runs = choice_runs(cols);
  ChooseArgs args{};
  args.logits = pool.place(random_logits(rows, cols));
  args.run_max = pool.take_array<float>(rows * runs);
  args.run_sums = pool.take_array<double>(rows * runs);
  args.ids = pool.take_array<std::int32_t>(rows);
  args.count = rows;
  args.cols = cols;
  std::vector<Timing> timings;
  for (const Form& form : kForms) {
    std::vector<RowChoice> choices(static_cast<std::size_t>(rows), form.choice);
    for (std::size_t i = 0; i < choices.size(); ++i) {
      choices[i].row = static_cast<std::int64_t>(i);
      choices[i].uniform = static_cast<double>(i) / static_cast<double>(rows);
    }
    args.choices = pool.place(choices);
    args.weighs_all = form.choice.scale >= 0.0f && form.choice.top_k == 0;
    Timing timing{
        "choose " + std::to_string(rows) + " of " + std::to_string(cols) + ", " + form.name,
        0,
        static_cast<double>(rows * cols) * sizeof(float),
        0,
        0,
        ""};
    if (pool.exhausted()) {
      timing.problem = "not enough memory";
    } else {
      timing.microseconds = median_microseconds(subject, subject.large ? 30 : 1,
                                                [&] { subject.ops.choose(subject.stream, args); });
    }
    timings.push_back(timing);
  }
  return timings;
}

}  // namespace

std::vector<Timing> bench_choices(const Subject& subject) {
  if (!subject.large) return bench_rows(subject, 2, 3000);
  std::vector<Timing> timings = bench_rows(subject, 1, 128256);
  for (const Timing& timing : bench_rows(subject, 128, 128256)) timings.push_back(timing);
  return timings;
}

}  // namespace bundle::kernels::cuda
