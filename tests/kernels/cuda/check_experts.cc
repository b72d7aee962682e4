// Mixtures of experts, step by step: the choice, the products of many experts at once, and the sum.
// And stacks of matrices that every token goes through, as heads do.
#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/kernels/cuda/check_weights.h"

namespace bundle::kernels::cuda {
namespace {

struct RouteCase {
  int experts;
  int top_k;
  int groups = 1;
  int top_groups = 1;
  int group_best = 1;
  bool sigmoid = false;
  bool bias = false;
  bool normalize = false;
  float scale = 1.0f;
  std::int64_t rows = 5;

  std::string name() const {
    return "route to " + std::to_string(top_k) + " of " + std::to_string(experts) + " in " +
           std::to_string(top_groups) + " of " + std::to_string(groups) + " groups" +
           (sigmoid ? " sigmoid" : "") + (bias ? " bias" : "") + (normalize ? " normalize" : "");
  }
};

/// Indices of the `count` largest of values[from, to), the lower on a tie.
std::vector<int> largest_of(const std::vector<double>& values, int from, int to, int count) {
  std::vector<int> order(static_cast<std::size_t>(to - from));
  std::iota(order.begin(), order.end(), from);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// One row's choice in double: experts and weights.
std::vector<std::pair<int, double>> expected_choice(const RouteCase& c, const float* logits,
                                                    const float* bias) {
  const auto n = static_cast<std::size_t>(c.experts);
  std::vector<double> scores(n), choices(n);
  double sum = 0.0;
  for (std::size_t e = 0; e < n; ++e) sum += std::exp(static_cast<double>(logits[e]));
  for (std::size_t e = 0; e < n; ++e) {
    const double power = std::exp(static_cast<double>(logits[e]));
    scores[e] = c.sigmoid ? power / (1.0 + power) : power / sum;
    choices[e] = scores[e] + (c.bias ? bias[e] : 0.0f);
  }
  const int size = c.experts / c.groups;
  std::vector<double> of_group;
  for (int g = 0; g < c.groups; ++g) {
    double best = 0.0;
    for (const int e : largest_of(choices, g * size, (g + 1) * size, c.group_best)) {
      best += choices[static_cast<std::size_t>(e)];
    }
    of_group.push_back(best);
  }
  std::vector<double> left(n, -1e300);
  for (const int g : largest_of(of_group, 0, c.groups, c.top_groups)) {
    std::copy_n(choices.begin() + g * size, size, left.begin() + g * size);
  }
  std::vector<std::pair<int, double>> chosen;
  double total = 0.0;
  for (const int e : largest_of(left, 0, c.experts, c.top_k)) {
    chosen.emplace_back(e, scores[static_cast<std::size_t>(e)]);
    total += chosen.back().second;
  }
  for (auto& choice : chosen) choice.second *= c.scale / (c.normalize ? total : 1.0);
  return chosen;
}

CheckResult check_choice(const Subject& subject, const RouteCase& c) {
  std::mt19937 random(subject.seed);
  const std::vector<float> logits =
      random_values(static_cast<std::size_t>(c.rows * c.experts), random, 4.0f);
  const std::vector<float> bias = random_values(static_cast<std::size_t>(c.experts), random);
  const DeviceArray<float> in(subject, logits);
  const DeviceArray<float> biases(subject, bias, MemoryKind::kWeights);
  const auto slots = static_cast<std::size_t>(c.rows * c.top_k);
  const DeviceArray<std::int32_t> chosen(subject, std::vector<std::int32_t>(slots, -1));
  const DeviceArray<float> weights(subject, unwritten(slots));
  subject.ops.route(subject.stream, {in.get(), c.bias ? biases.get() : nullptr, chosen.get(),
                                     weights.get(), c.rows, c.experts, c.top_k, c.groups,
                                     c.top_groups, c.group_best, c.sigmoid, c.normalize, c.scale});
  const std::vector<std::int32_t> got = chosen.read();
  std::vector<double> expected;
  double wrong = 0.0;
  for (std::int64_t r = 0; r < c.rows; ++r) {
    for (const auto& [expert, weight] :
         expected_choice(c, logits.data() + r * c.experts, bias.data())) {
      wrong += got[expected.size()] == expert ? 0.0 : 1.0;
      expected.push_back(weight);
    }
  }
  return result_of(subject, c.name(), std::max(wrong, largest_error(weights.read(), expected)),
                   1e-5);
}

struct ExpertCase {
  DType type;
  int experts;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t tokens;
  int top_k;
  bool tiles = false;
  int first = 0;   // the stack's first expert among the layer's
  int others = 0;  // of the layer, that are not in the stack

  std::int64_t slots() const { return tokens * top_k; }
  std::string name() const {
    return (tiles ? "tiles of " : "") + std::to_string(experts) + " experts " +
           std::string(dtype_info(type).name) + " " + std::to_string(rows) + "x" +
           std::to_string(cols) + " for " + std::to_string(top_k) + " choices of " +
           std::to_string(tokens) + " tokens" +
           (others > 0 ? ", from " + std::to_string(first) + " on" : "");
  }
};

/// Choices that differ within a token. Few experts get most of the slots, some get none.
std::vector<std::int32_t> random_choices(const ExpertCase& c, std::mt19937& random) {
  std::vector<std::int32_t> chosen;
  std::vector<std::int32_t> all(static_cast<std::size_t>(c.experts + c.others));
  std::iota(all.begin(), all.end(), 0);
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    std::shuffle(all.begin(), all.end(), random);
    std::stable_partition(all.begin(), all.end(), [](std::int32_t e) { return e % 3 == 1; });
    chosen.insert(chosen.end(), all.begin(), all.begin() + c.top_k);
  }
  return chosen;
}

/// The products of all slots, each of its own expert.
class ExpertProduct {
 public:
  ExpertProduct(const Subject& subject, const ExpertCase& c)
      : subject_(subject),
        case_(c),
        random_(subject.seed),
        weights_(subject, c.type, c.experts * c.rows, c.cols, random_),
        x_(random_values(static_cast<std::size_t>(c.tokens * c.cols), random_)),
        chosen_(random_choices(c, random_)) {}

  /// Of `tokens` tokens from `first` on; `planned`: through the plan even for one.
  std::vector<float> run(std::int64_t first, std::int64_t tokens, bool planned) const {
    const ExpertCase& c = case_;
    const auto slots = static_cast<std::size_t>(tokens * c.top_k);
    const auto x_from = x_.begin() + first * c.cols;
    const auto from = chosen_.begin() + first * c.top_k;
    const DeviceArray<float> x(subject_, std::vector<float>(x_from, x_from + tokens * c.cols));
    const DeviceArray<std::int32_t> chosen(
        subject_, std::vector<std::int32_t>(from, from + static_cast<std::ptrdiff_t>(slots)));
    const DeviceArray<float> y(subject_, unwritten(slots * static_cast<std::size_t>(c.rows)));
    const int tile = c.tiles ? kTokensTile : kRowsTile;
    const std::int64_t tile_count =
        most_expert_tiles(static_cast<std::int64_t>(slots), c.experts, tile);
    const DeviceArray<std::int32_t> order(subject_, std::vector<std::int32_t>(slots, -1));
    const DeviceArray<std::int32_t> starts(
        subject_, std::vector<std::int32_t>(static_cast<std::size_t>(c.experts + 1), -1));
    const DeviceArray<ExpertTile> tiles(
        subject_, std::vector<ExpertTile>(static_cast<std::size_t>(tile_count), {-1, -1, -1, -1}));
    MatmulArgs args{};
    args.w = weights_.matrix();
    args.x = x.get();
    args.y = y.get();
    args.y_stride = c.rows;
    args.tokens = static_cast<std::int64_t>(slots);
    args.stack.count = c.experts;
    args.stack.share = c.top_k;
    args.stack.first = c.first;
    if (planned) {
      subject_.ops.plan_experts(
          subject_.stream, {chosen.get(), args.tokens, c.experts, tile, order.get(), starts.get(),
                            tiles.get(), tile_count, c.first});
      args.stack.order = order.get();
      args.stack.tiles = tiles.get();
      args.stack.tile_count = tile_count;
    } else {
      args.stack.chosen = chosen.get();
    }
    (c.tiles ? subject_.ops.matmul_tiles : subject_.ops.matmul)(subject_.stream, args);
    return y.read();
  }

  /// Whether slot s chose an expert of the stack.
  bool is_there(std::int64_t s) const {
    const std::int32_t expert = chosen_[static_cast<std::size_t>(s)] - case_.first;
    return expert >= 0 && expert < case_.experts;
  }

  /// 1 when a slot of another expert was written, else 0; makes numbers of those.
  double check_others(std::vector<float>& y) const {
    double wrong = 0.0;
    for (std::int64_t at = 0; at < case_.slots() * case_.rows; ++at) {
      float& value = y[static_cast<std::size_t>(at)];
      if (is_there(at / case_.rows)) continue;
      if (!std::isnan(value)) wrong = 1.0;
      value = 0.0f;
    }
    return wrong;
  }

  std::vector<double> expected() const {
    std::vector<double> y;
    const std::int64_t step = sampling_step(case_.slots() * case_.rows, case_.cols);
    for (std::int64_t s = 0; s < case_.slots(); ++s) {
      const std::int64_t expert = chosen_[static_cast<std::size_t>(s)] - case_.first;
      if (!is_there(s)) {
        y.insert(y.end(), static_cast<std::size_t>(case_.rows), kAnyNumber);
        continue;
      }
      for (std::int64_t r = 0; r < case_.rows; ++r) {
        if ((s + r) % step != 0) {
          y.push_back(kAnyNumber);
          continue;
        }
        double sum = 0.0;
        for (std::int64_t c = 0; c < case_.cols; ++c) {
          sum += static_cast<double>(weights_.at(expert * case_.rows + r, c)) *
                 x_[static_cast<std::size_t>(s / case_.top_k * case_.cols + c)];
        }
        y.push_back(sum);
      }
    }
    return y;
  }

 private:
  const Subject& subject_;
  const ExpertCase& case_;
  std::mt19937 random_;
  DeviceWeights weights_;
  std::vector<float> x_;
  std::vector<std::int32_t> chosen_;
};

CheckResult check_product(const Subject& subject, const ExpertCase& c) {
  const ExpertProduct product(subject, c);
  std::vector<float> got = product.run(0, c.tokens, true);
  const double others = product.check_others(got);
  const double error = std::max(others, largest_error(got, product.expected()));
  return result_of(subject, c.name(), error, c.tiles ? 1e-4 : 2e-5);
}

/// A token alone, planned or not, gives what it gives in a crowd, to the bit.
CheckResult check_token_alone(const Subject& subject, const ExpertCase& c) {
  const ExpertProduct product(subject, c);
  const std::vector<float> together = product.run(0, c.tokens, true);
  const std::int64_t each = c.top_k * c.rows;
  double error = 0.0;
  for (const bool planned : {true, false}) {
    const std::vector<float> alone = product.run(4, 1, planned);
    error = std::max(error, differs(alone.data(), together.data() + 4 * each, alone.size()));
  }
  return result_of(subject, c.name() + " alone and together", error, 0.0);
}

CheckResult check_combine(const Subject& subject) {
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kCols = 100;
  constexpr int kChoices = 5;
  std::mt19937 random(subject.seed);
  const std::vector<float> slots = random_values(kRows * kChoices * kCols, random);
  const std::vector<float> weights = random_values(kRows * kChoices, random);
  const std::vector<float> before = random_values(kRows * kCols, random);
  // Of experts 0 … 4 those from 1 to 3 are there.
  std::vector<std::int32_t> choices;
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int32_t k = 0; k < kChoices; ++k) {
      choices.push_back(static_cast<std::int32_t>((k + r) % kChoices));
    }
  }
  const DeviceArray<std::int32_t> chosen(subject, choices);
  const DeviceArray<float> in(subject, slots), factors(subject, weights), y(subject, before);
  subject.ops.combine(subject.stream, {in.get(), factors.get(), y.get(), kRows, kCols, kChoices,
                                       chosen.get(), 1, 3});
  std::vector<double> expected(before.begin(), before.end());
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t k = 0; k < kChoices; ++k) {
      const std::int32_t expert = choices[static_cast<std::size_t>(r * kChoices + k)];
      if (expert < 1 || expert > 3) continue;
      for (std::int64_t c = 0; c < kCols; ++c) {
        expected[static_cast<std::size_t>(r * kCols + c)] +=
            static_cast<double>(weights[static_cast<std::size_t>(r * kChoices + k)]) *
            slots[static_cast<std::size_t>((r * kChoices + k) * kCols + c)];
      }
    }
  }
  return result_of(subject, "combine", largest_error(y.read(), expected), 2e-6);
}

/// Every token through a matrix a head, of which x and y have some columns each.
CheckResult check_head_product(const Subject& subject, DType type, std::int64_t tokens,
                               bool tiles) {
  constexpr std::int64_t kHeads = 3, kRows = 40, kPad = 9;
  const std::int64_t cols = 96;
  const std::int64_t step = cols + kPad;
  std::mt19937 random(subject.seed);
  const DeviceWeights weights(subject, type, kHeads * kRows, cols, random);
  const std::vector<float> x =
      random_values(static_cast<std::size_t>(tokens * kHeads * step), random);
  const DeviceArray<float> in(subject, x);
  const DeviceArray<float> y(subject, unwritten(static_cast<std::size_t>(tokens * kHeads * kRows)));
  MatmulArgs args{};
  args.w = weights.matrix();
  args.x = in.get();
  args.x_stride = kHeads * step;
  args.y = y.get();
  args.y_stride = kHeads * kRows;
  args.tokens = tokens;
  args.stack.count = kHeads;
  args.stack.x_step = step;
  args.stack.y_step = kRows;
  (tiles ? subject.ops.matmul_tiles : subject.ops.matmul)(subject.stream, args);
  std::vector<double> expected;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t h = 0; h < kHeads; ++h) {
      for (std::int64_t r = 0; r < kRows; ++r) {
        double sum = 0.0;
        for (std::int64_t c = 0; c < cols; ++c) {
          sum += static_cast<double>(weights.at(h * kRows + r, c)) *
                 x[static_cast<std::size_t>((t * kHeads + h) * step + c)];
        }
        expected.push_back(sum);
      }
    }
  }
  return result_of(subject,
                   std::string(tiles ? "tiles of heads " : "heads ") +
                       std::string(dtype_info(type).name) + " of " + std::to_string(tokens),
                   largest_error(y.read(), expected), tiles ? 1e-4 : 2e-5);
}

}  // namespace

std::vector<CheckResult> check_route(const Subject& subject) {
  std::vector<RouteCase> cases = {{8, 2, 1, 1, 1, false, false, true},            // Mixtral
                                  {128, 8, 1, 1, 1, false, false, true},          // Qwen3
                                  {160, 6, 8, 3, 1, false, false, false, 16.0f},  // DeepSeek-V2
                                  {256, 8, 8, 4, 2, true, true, true, 2.5f},      // DeepSeek-V3
                                  {5, 5},                                         // all of them
                                  {33, 1, 1, 1, 1, true},
                                  {384, 8, 1, 1, 1, true, true, true, 2.827f, 1}};  // Kimi K2
  std::vector<CheckResult> results;
  for (const RouteCase& c : cases) results.push_back(check_choice(subject, c));
  return results;
}

std::vector<CheckResult> check_experts(const Subject& subject) {
  std::vector<ExpertCase> cases = {{DType::kBF16, 6, 24, 72, 5, 2},
                                   {DType::kF8E4M3, 4, 40, 200, 3, 3},
                                   {DType::kQ4K, 5, 17, 256, 7, 2},
                                   {DType::kF32, 40, 16, 8, 1, 8},
                                   {DType::kBF16, 5, 70, 72, 90, 1, true},
                                   {DType::kF8E4M3, 3, 20, 136, 40, 2, true},
                                   {DType::kBF16, 4, 24, 72, 9, 3, false, 2, 3},
                                   {DType::kF8E4M3, 3, 20, 136, 40, 2, true, 4, 4}};
  if (subject.large) {
    cases.push_back({DType::kF8E4M3, 64, 512, 7168, 1, 8});
    cases.push_back({DType::kF8E4M3, 64, 512, 7168, 32, 8});
    cases.push_back({DType::kBF16, 16, 256, 2048, 500, 4, true});
  }
  std::vector<CheckResult> results;
  for (const ExpertCase& c : cases) results.push_back(check_product(subject, c));
  results.push_back(check_token_alone(subject, {DType::kBF16, 7, 20, 136, 9, 3}));
  for (const int first : {0, 3, 4}) {  // of a part of the experts, with choices on both sides of it
    const ExpertCase part{DType::kBF16, 3, 20, 136, 9, 3, false, first, 4};
    results.push_back(check_token_alone(subject, part));
  }
  results.push_back(check_combine(subject));
  return results;
}

std::vector<CheckResult> check_heads(const Subject& subject) {
  return {check_head_product(subject, DType::kBF16, 1, false),
          check_head_product(subject, DType::kF8E4M3, 6, false),
          check_head_product(subject, DType::kBF16, 20, true),
          check_head_product(subject, DType::kF32, 70, true)};
}

}  // namespace bundle::kernels::cuda
