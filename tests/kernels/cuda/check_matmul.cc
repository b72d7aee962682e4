#include "tests/kernels/cuda/check_weights.h"

namespace bundle::kernels::cuda {
namespace {

struct Case {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t tokens;
  bool norm = false;
  bool bias = false;
  bool accumulate = false;

  std::string name() const {
    return "matmul " + std::string(dtype_info(type).name) + " " + std::to_string(rows) + "x" +
           std::to_string(cols) + " tokens " + std::to_string(tokens) + (norm ? " norm" : "") +
           (bias ? " bias" : "") + (accumulate ? " accumulate" : "");
  }
};

constexpr float kEps = 1e-5f;

/// One product with all that goes with it, and the same in double.
class Product {
 public:
  Product(const Subject& subject, const Case& c)
      : subject_(subject),
        case_(c),
        random_(subject.seed),
        weights_(subject, c.type, c.rows, c.cols, random_),
        x_(random_values(static_cast<std::size_t>(c.tokens * c.cols), random_)),
        norm_(random_values(static_cast<std::size_t>(c.cols), random_)),
        bias_(random_values(static_cast<std::size_t>(c.rows), random_)),
        before_(random_values(static_cast<std::size_t>(c.tokens * c.rows), random_)) {}

  /// `gated`: y is (tokens, rows / 2).
  std::vector<float> run(std::int64_t first, std::int64_t tokens, bool tiles = false,
                         bool gated = false) const {
    const std::int64_t rows = gated ? case_.rows / 2 : case_.rows;
    const auto from = x_.begin() + first * case_.cols;
    const DeviceArray<float> x(subject_, std::vector<float>(from, from + tokens * case_.cols));
    const DeviceArray<float> norm(subject_, norm_, MemoryKind::kWeights);
    const DeviceArray<float> bias(subject_, bias_, MemoryKind::kWeights);
    const auto y_from = before_.begin() + first * case_.rows;
    const DeviceArray<float> y(
        subject_, case_.accumulate ? std::vector<float>(y_from, y_from + tokens * case_.rows)
                                   : unwritten(static_cast<std::size_t>(tokens * rows)));
    const auto matmul = tiles ? subject_.ops.matmul_tiles : subject_.ops.matmul;
    MatmulArgs args{weights_.matrix(),
                    x.get(),
                    case_.norm ? norm.get() : nullptr,
                    kEps,
                    case_.bias ? bias.get() : nullptr,
                    y.get(),
                    rows,
                    tokens,
                    case_.accumulate};
    args.gated = gated;
    matmul(subject_.stream, args);
    return y.read();
  }

  std::vector<double> expected() const {
    std::vector<double> y;
    const std::int64_t step = sampling_step(case_.tokens * case_.rows, case_.cols);
    for (std::int64_t t = 0; t < case_.tokens; ++t) {
      const double factor = case_.norm ? norm_factor(t) : 1.0;
      for (std::int64_t r = 0; r < case_.rows; ++r) {
        if ((t + r) % step != 0) {
          y.push_back(kAnyNumber);
          continue;
        }
        double sum = case_.bias ? bias_[static_cast<std::size_t>(r)] : 0.0;
        for (std::int64_t c = 0; c < case_.cols; ++c) {
          const double weight = case_.norm ? norm_[static_cast<std::size_t>(c)] * factor : 1.0;
          sum += weights_.at(r, c) * (x_at(t, c) * weight);
        }
        y.push_back(case_.accumulate ? before_[y.size()] + sum : sum);
      }
    }
    return y;
  }

 private:
  double x_at(std::int64_t t, std::int64_t c) const {
    return x_[static_cast<std::size_t>(t * case_.cols + c)];
  }
  double norm_factor(std::int64_t t) const {
    double squares = 0.0;
    for (std::int64_t c = 0; c < case_.cols; ++c) squares += x_at(t, c) * x_at(t, c);
    return 1.0 / std::sqrt(squares / static_cast<double>(case_.cols) + kEps);
  }

  const Subject& subject_;
  const Case& case_;
  std::mt19937 random_;
  DeviceWeights weights_;
  std::vector<float> x_, norm_, bias_, before_;
};

CheckResult check(const Subject& subject, const Case& c) {
  const Product product(subject, c);
  const double error = largest_error(product.run(0, c.tokens), product.expected());
  return result_of(subject, c.name(), error, 2e-5);
}

/// A token alone gives what it gives among others, to the bit.
CheckResult check_alone(const Subject& subject, const Case& c) {
  const Product product(subject, c);
  const std::vector<float> together = product.run(0, c.tokens);
  double error = 0.0;
  for (std::int64_t first = 0; first < c.tokens;) {
    const std::int64_t count = std::min<std::int64_t>(first == 0 ? 1 : 2 * first, c.tokens - first);
    const std::vector<float> some = product.run(first, count);
    error = std::max(error, differs(some.data(), together.data() + first * c.rows, some.size()));
    first += count;
  }
  return result_of(subject, c.name() + " alone and together", error, 0.0);
}

/// The gate and the other rows, from the same product without them to the bit.
CheckResult check_gated(const Subject& subject, DType type, std::int64_t tokens, bool norm) {
  const Case c{type, 84, 260, tokens, norm, true, false};
  const Product product(subject, c);
  const std::vector<float> both = product.run(0, tokens);
  const std::vector<float> gated = product.run(0, tokens, false, true);
  std::vector<double> expected;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t r = 0; r < c.rows / 2; ++r) {
      const double gate = both[static_cast<std::size_t>(t * c.rows + r)];
      const double other = both[static_cast<std::size_t>(t * c.rows + c.rows / 2 + r)];
      expected.push_back(gate / (1.0 + std::exp(-gate)) * other);
    }
  }
  return result_of(subject, c.name() + " gated", largest_error(gated, expected), 2e-6);
}

CheckResult check_tiles_of(const Subject& subject, const Case& c) {
  const Product product(subject, c);
  const double error = largest_error(product.run(0, c.tokens, true), product.expected());
  return result_of(subject, "tiles of " + c.name(), error, 1e-4);
}

/// Tokens of a tile do not depend on their neighbours.
CheckResult check_tiles_apart(const Subject& subject) {
  const Case c{DType::kBF16, 70, 96, 80, false, true, true};
  const Product product(subject, c);
  const std::vector<float> together = product.run(0, c.tokens, true);
  const std::vector<float> some = product.run(33, 20, true);
  return result_of(subject, "tiles of " + c.name() + " apart",
                   differs(some.data(), together.data() + 33 * c.rows, some.size()), 0.0);
}

}  // namespace

std::vector<CheckResult> check_tiles(const Subject& subject) {
  std::vector<CheckResult> results;
  for (const DType type : kDeviceTypes) {
    const std::int64_t odd = is_quantized(type) ? 256 : 75;
    results.push_back(check_tiles_of(subject, {type, 70, odd, 19, false, true, false}));
    if (!subject.large) continue;
    results.push_back(check_tiles_of(subject, {type, 1024, 4096, 300, false, false, true}));
  }
  results.push_back(check_tiles_of(subject, {DType::kBF16, 64, 64, 65, false, false, true}));
  results.push_back(check_tiles_of(subject, {DType::kF8E4M3, 150, 330, 18, false, true, true}));
  results.push_back(check_tiles_apart(subject));
  return results;
}

std::vector<CheckResult> check_matmul(const Subject& subject) {
  std::vector<CheckResult> results;
  for (const DType type : kDeviceTypes) {
    const std::int64_t odd = is_quantized(type) ? 512 : 515;
    results.push_back(check(subject, {type, 37, odd, 3, true, true, false}));
    results.push_back(check(subject, {type, 16, 256, 1, false, false, true}));
    results.push_back(check(subject, {type, 1, 4352, 2, false, false, false}));
    results.push_back(check_alone(subject, {type, 40, 1280, 9, true, true, false}));
    if (!subject.large) continue;
    for (const std::int64_t tokens : {1, 2, 4, 8, 33}) {
      results.push_back(check(subject, {type, 1024, 4096, tokens, true, false, false}));
    }
    results.push_back(check(subject, {type, 1000, 14336, 1, false, false, true}));
  }
  for (const DType type : {DType::kBF16, DType::kF16, DType::kF8E4M3, DType::kI8}) {
    for (const std::int64_t tokens : {1, 3, 12}) {
      results.push_back(check_gated(subject, type, tokens, tokens != 3));
      results.push_back(check(subject, {type, 37, 516, tokens, true, true, true}));
    }
    // So narrow that each warp of few tokens has rows of its own; of nine tokens none has.
    results.push_back(check(subject, {type, 300, 228, 7, false, true, true}));
    results.push_back(check_alone(subject, {type, 150, 228, 9, false, true, true}));
  }
  for (const std::int64_t tokens : {5, 8, 17}) {
    results.push_back(check(subject, {DType::kBF16, 20, 64, tokens, true, true, true}));
  }
  return results;
}

std::vector<CheckResult> check_embed(const Subject& subject) {
  std::vector<CheckResult> results;
  std::mt19937 random(subject.seed);
  for (const DType type : kDeviceTypes) {
    const std::int64_t cols = is_quantized(type) ? 256 : 75;
    const DeviceWeights table(subject, type, 50, cols, random);
    const std::vector<std::int32_t> chosen = {49, 0, 7, 7, 31};
    const DeviceArray<std::int32_t> ids(subject, chosen);
    const DeviceArray<float> out(subject,
                                 unwritten(chosen.size() * static_cast<std::size_t>(cols)));
    subject.ops.embed(subject.stream, {table.matrix(), 0, ids.get(), out.get(),
                                       static_cast<std::int64_t>(chosen.size())});
    std::vector<double> expected;
    for (const std::int32_t id : chosen) {
      for (std::int64_t c = 0; c < cols; ++c) expected.push_back(table.at(id, c));
    }
    results.push_back(result_of(subject, "embed " + std::string(dtype_info(type).name),
                                largest_error(out.read(), expected), 1e-7));
  }
  return results;
}

}  // namespace bundle::kernels::cuda
