// The choice of tokens against a sampler that sorts everything and weighs in float64.
#include <numeric>

#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {
namespace {

constexpr double kTolerance = 3e-6;  // of a random number: weights are float
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// What a choice is made by, as people say it.
struct Wanted {
  std::int64_t row = 0;
  double temperature = 1.0;
  std::int32_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
  double uniform = 0.0;
};

RowChoice for_kernel(const Wanted& w) {
  const double offset = w.min_p > 0.0 ? w.temperature * std::log(w.min_p) : -kInfinity;
  const auto scale = w.temperature > 0.0 ? static_cast<float>(1.0 / w.temperature) : -1.0f;
  return {w.row, w.uniform, w.top_p, offset, scale, w.top_k};
}

/// Rows of logits, (rows, cols).
struct Logits {
  std::vector<float> values;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  const float* row(std::int64_t r) const { return values.data() + r * cols; }
  float* row(std::int64_t r) { return values.data() + r * cols; }
};

std::int32_t likeliest(const float* row, std::int64_t cols) {
  return static_cast<std::int32_t>(std::max_element(row, row + cols) - row);
}

/// The ids that stay, ascending, with bounds moved apart by `shift`.
std::vector<std::int32_t> kept_ids(const float* row, std::int64_t cols, const Wanted& w,
                                   double shift) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(cols));
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::int32_t a, std::int32_t b) { return row[a] > row[b]; });
  const double max = row[ids.front()];
  const auto weight = [&](std::int32_t id) { return std::exp((row[id] - max) / w.temperature); };
  std::erase_if(ids, [&](std::int32_t id) { return weight(id) < w.min_p * (1.0 - shift); });
  if (w.top_k > 0 && static_cast<std::size_t>(w.top_k) < ids.size()) {
    ids.resize(static_cast<std::size_t>(w.top_k));
  }
  double total = 0.0;
  for (const std::int32_t id : ids) total += weight(id);
  double reached = 0.0;
  for (std::size_t i = 0; i < ids.size() && w.top_p < 1.0; ++i) {
    reached += weight(ids[i]);
    if (reached >= (w.top_p + shift) * total) ids.resize(i + 1);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

/// How far the random number lies from the share of those that stay which is the token's; 1 where
/// the token does not stay.
double distance(const float* row, const std::vector<std::int32_t>& ids, const Wanted& w,
                std::int32_t token) {
  if (!std::binary_search(ids.begin(), ids.end(), token)) return 1.0;
  double max = -kInfinity;
  for (const std::int32_t id : ids) max = std::max(max, static_cast<double>(row[id]));
  double before = 0.0;
  double own = 0.0;
  double total = 0.0;
  for (const std::int32_t id : ids) {
    const double weight = std::exp((row[id] - max) / w.temperature);
    if (id < token) before += weight;
    if (id == token) own = weight;
    total += weight;
  }
  return std::max({0.0, before / total - w.uniform, w.uniform - (before + own) / total});
}

/// 0 for the one right token; for a drawn one, how far the random number lies from its share.
double error_of(const float* row, std::int64_t cols, const Wanted& w, std::int32_t token) {
  if (!std::all_of(row, row + cols, [](float x) { return std::isfinite(x); })) {
    return token == -1 ? 0.0 : 1.0;
  }
  if (w.temperature == 0.0) return token == likeliest(row, cols) ? 0.0 : 1.0;
  double least = 1.0;
  for (const double shift : {0.0, -1e-6, 1e-6}) {
    if (least > kTolerance) {
      least = std::min(least, distance(row, kept_ids(row, cols, w, shift), w, token));
    }
  }
  return least;
}

std::vector<std::int32_t> choose_on(const Subject& subject, const Logits& logits,
                                    const std::vector<Wanted>& wanted) {
  std::vector<RowChoice> rows;
  ChooseArgs args{};
  for (const Wanted& w : wanted) {
    rows.push_back(for_kernel(w));
    args.weighs_all |= w.temperature > 0.0 && (w.top_k == 0 || w.top_k >= logits.cols);
  }
  const auto runs = static_cast<std::size_t>(choice_runs(logits.cols));
  const DeviceArray<float> in(subject, logits.values);
  const DeviceArray<RowChoice> choices(subject, rows);
  const DeviceArray<float> maxima(subject, unwritten(rows.size() * runs));
  const DeviceArray<double> sums(subject, std::vector<double>(rows.size() * runs, NAN));
  const DeviceArray<std::int32_t> ids(subject, std::vector<std::int32_t>(rows.size(), -7));
  args.logits = in.get();
  args.choices = choices.get();
  args.ids = ids.get();
  args.run_max = maxima.get();
  args.run_sums = sums.get();
  args.count = static_cast<std::int64_t>(rows.size());
  args.cols = logits.cols;
  subject.ops.choose(subject.stream, args);
  return ids.read();
}

CheckResult check_choices(const Subject& subject, const std::string& name, const Logits& logits,
                          const std::vector<Wanted>& wanted) {
  const std::vector<std::int32_t> ids = choose_on(subject, logits, wanted);
  double error = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    error = std::max(error, error_of(logits.row(wanted[i].row), logits.cols, wanted[i], ids[i]));
  }
  return result_of(subject, "choose " + name + " of " + std::to_string(logits.cols), error,
                   kTolerance);
}

/// Row 0 is sharp, 1 flat, 2 has few values, 3 one value, 4 both zeros, 5 one token far ahead.
Logits random_rows(std::int64_t cols, std::mt19937& random) {
  Logits logits{std::vector<float>(static_cast<std::size_t>(6 * cols)), 6, cols};
  std::normal_distribution<float> normal;
  for (std::int64_t c = 0; c < cols; ++c) {
    logits.row(0)[c] = 4.0f * normal(random);
    logits.row(1)[c] = 0.5f * normal(random);
    logits.row(2)[c] = static_cast<float>(random() % 5) - 2.0f;
    logits.row(3)[c] = -3.25f;
    logits.row(4)[c] = random() % 2 == 0 ? 0.0f : -0.0f;
    logits.row(5)[c] = normal(random);
  }
  logits.row(5)[cols / 3] = 3e38f;
  return logits;
}

/// Every form of rule on every row.
std::vector<Wanted> every_rule(const Logits& logits, std::mt19937& random) {
  const auto some = static_cast<std::int32_t>(1 + logits.cols / 2);
  const Wanted rules[] = {{0, 0.0},
                          {0, 1.0},
                          {0, 0.7, 40},
                          {0, 1.0, 1},
                          {0, 1.3, some, 0.9},
                          {0, 0.01, 5, 0.5, 0.1},
                          {0, 0.6, 0, 0.95},
                          {0, 10.0, 0, 0.999},
                          {0, 1.0, 0, 0.5},
                          {0, 1.0, 0, 0.0},
                          {0, 1.5, 0, 1.0, 0.02},
                          {0, 0.8, 0, 0.9, 0.3},
                          {0, 1.0, 0, 1.0, 1.0},
                          {0, 1.0, 200, 0.99, 1e-9},
                          {0, 2.0, 1 << 30, 0.3, 0.5}};
  std::uniform_real_distribution<double> uniform;
  std::vector<Wanted> wanted;
  for (std::int64_t row = 0; row < logits.rows; ++row) {
    for (Wanted rule : rules) {
      rule.row = row;
      rule.uniform = wanted.size() % 7 == 0   ? 0.0
                     : wanted.size() % 7 == 1 ? 1.0 - 0x1p-53
                                              : uniform(random);
      wanted.push_back(rule);
    }
  }
  return wanted;
}

CheckResult check_random(const Subject& subject, std::int64_t cols) {
  std::mt19937 random(subject.seed + static_cast<std::uint32_t>(cols));
  const Logits logits = random_rows(cols, random);
  std::vector<Wanted> wanted = every_rule(logits, random);
  // In one batch, and in any order.
  std::shuffle(wanted.begin(), wanted.end(), random);
  return check_choices(subject, "by every rule", logits, wanted);
}

/// Wide rows: fewer rules, since the emulator looks at every access.
CheckResult check_wide(const Subject& subject, std::int64_t cols) {
  std::mt19937 random(subject.seed + 5);
  const Logits logits = random_rows(cols, random);
  std::uniform_real_distribution<double> uniform;
  const std::vector<Wanted> wanted = {
      {0, 0.0},
      {0, 1.0, 0, 1.0, 0.0, uniform(random)},
      {0, 0.6, 0, 0.95, 0.0, uniform(random)},
      {1, 1.0, 50, 0.9, 0.0, uniform(random)},
      {1, 1.0, 0, 0.9, 0.0, uniform(random)},
      {2, 1.0, 3000, 0.7, 0.0, uniform(random)},
      {3, 1.0, 0, 0.5, 0.0, 1.0 - 0x1p-53},
  };
  return check_choices(subject, "from wide rows", logits, wanted);
}

/// A logit that is no number, or infinite, anywhere, alone says so; its neighbours are chosen from.
CheckResult check_not_finite(const Subject& subject) {
  constexpr std::int64_t kCols = 300;
  std::mt19937 random(subject.seed + 6);
  Logits logits{random_values(5 * kCols, random, 4.0f), 5, kCols};
  logits.row(0)[0] = std::numeric_limits<float>::quiet_NaN();
  logits.row(1)[kCols - 1] = kInfinity;
  logits.row(3)[130] = -kInfinity;
  std::vector<Wanted> wanted;
  for (std::int64_t row = 0; row < logits.rows; ++row) {
    wanted.push_back({row, 0.0});
    wanted.push_back({row, 1.0, 0, 1.0, 0.0, 0.4});
    wanted.push_back({row, 1.0, 20, 0.9, 0.0, 0.4});
    wanted.push_back({row, 1.0, 0, 0.9, 0.1, 0.4});
  }
  return check_choices(subject, "logits that are not finite", logits, wanted);
}

/// Alone as in a crowd.
CheckResult check_batch(const Subject& subject) {
  std::mt19937 random(subject.seed + 7);
  const Logits logits = random_rows(3000, random);
  std::vector<Wanted> wanted = every_rule(logits, random);
  const std::vector<std::int32_t> together = choose_on(subject, logits, wanted);
  double error = 0.0;
  for (std::size_t i = 0; i < wanted.size(); i += 11) {
    if (choose_on(subject, logits, {wanted[i]}).front() != together[i]) error = 1.0;
  }
  return result_of(subject, "choose alone as in a crowd", error, 0.0);
}

}  // namespace

std::vector<CheckResult> check_sampling(const Subject& subject) {
  std::vector<CheckResult> results;
  for (const std::int64_t cols : {1, 2, 31, 128, 129, 1000, 2049, 5003}) {
    results.push_back(check_random(subject, cols));
  }
  results.push_back(check_wide(subject, 32003));
  results.push_back(check_not_finite(subject));
  results.push_back(check_batch(subject));
  if (subject.large) {
    for (const std::int64_t cols : {32000, 128256, 151936, 262147}) {
      results.push_back(check_random(subject, cols));
    }
  } else {
    results.push_back(check_wide(subject, 151936));
  }
  return results;
}

}  // namespace bundle::kernels::cuda
