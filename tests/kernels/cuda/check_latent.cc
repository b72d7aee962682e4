// Latent attention as a layer uses it: queries are rotated, latents normalized, rotated and stored,
// and rows look back at them.
#include <memory>
#include <numeric>

#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {
namespace {

struct Case {
  int heads;
  int nope_dim;
  int rope_dim;
  int rank;
  std::int64_t positions;
  CacheType type = CacheType::kF32;
  int block_tokens = 16;
  bool interleaved = true;

  std::vector<double> unknown() const {
    return std::vector<double>(static_cast<std::size_t>(rank), kAnyNumber);
  }
  int query_dim() const { return nope_dim + rope_dim; }
  int latent_dim() const { return rank + rope_dim; }
  std::string name() const {
    static constexpr const char* kTypes[] = {"F32", "F16", "BF16", "F8"};
    return "latent attention of " + std::to_string(heads) + " heads, " + std::to_string(rank) +
           "+" + std::to_string(rope_dim) + ", of " + std::to_string(positions) + " " +
           kTypes[static_cast<int>(type)] + (interleaved ? "" : " halves");
  }
  double tolerance() const {
    return type == CacheType::kF32 ? 3e-5 : type == CacheType::kF16 ? 4e-3 : 4e-2;
  }
};

constexpr float kEps = 1e-6f;
constexpr float kScale = 0.1f;

/// One sequence on the device. Queries for latents are random: what makes them is a product.
class Sequence {
 public:
  Sequence(const Subject& subject, const Case& c)
      : subject_(subject), case_(c), random_(subject.seed) {
    const std::int64_t blocks = (c.positions + c.block_tokens - 1) / c.block_tokens + 2;
    std::vector<std::int32_t> table(static_cast<std::size_t>(blocks));
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), random_);
    table_ = std::make_unique<DeviceArray<std::int32_t>>(subject, table);
    q_ = values(c.heads * c.query_dim());
    query_ = values(c.heads * c.rank);
    latent_ = values(c.latent_dim());
    norm_ = random_values(static_cast<std::size_t>(c.rank), random_);
    for (int i = 0; i < c.rope_dim / 2; ++i) {
      freq_.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / c.rope_dim)));
    }
    layer_ = {
        nullptr, c.type, blocks, c.block_tokens, 1, c.latent_dim(), (c.latent_dim() + 7) / 8 * 8,
        1};
    const auto bytes = static_cast<std::size_t>(blocks * c.block_tokens * layer_.stride *
                                                cache_element_bytes(c.type));
    layer_.data = subject.driver.allocate(bytes, MemoryKind::kWork);
    subject.driver.fill(subject.stream, layer_.data, 0xFF, bytes);  // NaN
  }
  ~Sequence() { subject_.driver.free(layer_.data); }
  Sequence(const Sequence&) = delete;

  /// Stores positions [first, first + count) and lets them look back: (count, heads, rank).
  std::vector<float> step(std::int64_t first, std::int64_t count) const {
    const Case& c = case_;
    std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
    positions.push_back(-1);  // a row of nobody
    const DeviceArray<std::int32_t> on_device(subject_, positions);
    const DeviceArray<std::int32_t> tables(subject_,
                                           std::vector<std::int32_t>(positions.size(), 0));
    const DeviceArray<float> q(subject_, rows_of(q_, first, count));
    const DeviceArray<float> query(subject_, rows_of(query_, first, count));
    const DeviceArray<float> latent(subject_, rows_of(latent_, first, count));
    const DeviceArray<float> norm(subject_, norm_, MemoryKind::kWeights);
    const DeviceArray<float> freq(subject_, freq_, MemoryKind::kWeights);
    const RowMap map{on_device.get(), tables.get(), table_->get()};
    subject_.ops.latent_store(
        subject_.stream, {q.get(), count + 1, c.heads, c.nope_dim, c.rope_dim, latent.get(), c.rank,
                          norm.get(), kEps, freq.get(), 1.0f, c.interleaved, map, layer_});
    const std::int64_t reach = first + count;
    const DeviceArray<float> out(
        subject_, unwritten(static_cast<std::size_t>((count + 1) * c.heads * c.rank)));
    const DeviceArray<float> partial(subject_, static_cast<std::size_t>(latent_partial_floats(
                                                   count + 1, c.heads, c.rank, reach)));
    subject_.ops.latent_attention(subject_.stream,
                                  {query.get(), q.get(), out.get(), count + 1, c.heads, c.nope_dim,
                                   c.rope_dim, c.rank, kScale, map, layer_, reach, partial.get()});
    std::vector<float> all = out.read();
    all.resize(static_cast<std::size_t>(count * c.heads * c.rank));
    return all;
  }

  /// What position t's head h gives, in double.
  std::vector<double> expected(std::int64_t t, int h) const {
    const Case& c = case_;
    const float* own = q_.data() + (t * c.heads + h) * c.query_dim() + c.nope_dim;
    const std::vector<double> turned = rotated(own, t);
    const float* absorbed = query_.data() + (t * c.heads + h) * c.rank;
    std::vector<double> out(static_cast<std::size_t>(c.rank));
    double total = 0.0;
    for (std::int64_t s = 0; s <= t; ++s) {
      const std::vector<double> latent = stored(s);
      double score = 0.0;
      for (int i = 0; i < c.rank; ++i) score += absorbed[i] * latent[static_cast<std::size_t>(i)];
      for (int i = 0; i < c.rope_dim; ++i) {
        score += turned[static_cast<std::size_t>(i)] * latent[static_cast<std::size_t>(c.rank + i)];
      }
      const double weight = std::exp(score * kScale);
      total += weight;
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += weight * latent[i];
    }
    for (double& value : out) value /= total;
    return out;
  }

 private:
  std::vector<float> values(int each) {
    return random_values(static_cast<std::size_t>(case_.positions * each), random_);
  }
  /// Rows of all positions' values, and one more.
  std::vector<float> rows_of(const std::vector<float>& all, std::int64_t first,
                             std::int64_t count) const {
    const auto each = static_cast<std::int64_t>(all.size()) / case_.positions;
    std::vector<float> rows(all.begin() + first * each, all.begin() + (first + count) * each);
    rows.resize(rows.size() + static_cast<std::size_t>(each), 7.0f);
    return rows;
  }

  std::vector<double> rotated(const float* from, std::int64_t t) const {
    const Case& c = case_;
    std::vector<double> out(from, from + c.rope_dim);
    const int half = c.rope_dim / 2;
    for (int i = 0; i < half; ++i) {
      const double angle = static_cast<float>(t) * freq_[static_cast<std::size_t>(i)];
      double& a = out[static_cast<std::size_t>(c.interleaved ? 2 * i : i)];
      double& b = out[static_cast<std::size_t>(c.interleaved ? 2 * i + 1 : i + half)];
      const double x = a;
      a = x * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + x * std::sin(angle);
    }
    return out;
  }

  std::vector<double> stored(std::int64_t t) const {
    const Case& c = case_;
    const float* latent = latent_.data() + t * c.latent_dim();
    std::vector<double> out(latent, latent + c.rank);
    double squares = 0.0;
    for (const double value : out) squares += value * value;
    const double factor = 1.0 / std::sqrt(squares / c.rank + kEps);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] *= factor * norm_[i];
    for (const double value : rotated(latent + c.rank, t)) out.push_back(value);
    for (double& value : out) value = as_cached(c.type, value);
    return out;
  }

  const Subject& subject_;
  const Case& case_;
  std::mt19937 random_;
  CacheLayer layer_{};
  std::unique_ptr<DeviceArray<std::int32_t>> table_;
  std::vector<float> q_, query_, latent_, norm_, freq_;
};

CheckResult check(const Subject& subject, const Case& c) {
  const Sequence sequence(subject, c);
  const std::int64_t last = std::min<std::int64_t>(c.positions, 3);
  if (c.positions > last) sequence.step(0, c.positions - last);
  const std::vector<float> out = sequence.step(c.positions - last, last);
  std::vector<double> expected;
  const std::int64_t step = sampling_step(last * c.heads, 8 * c.positions * c.rank);
  for (std::int64_t t = c.positions - last; t < c.positions; ++t) {
    for (int h = 0; h < c.heads; ++h) {
      const std::vector<double> head = (c.positions - t + c.heads - 1 - h - 1) % step == 0
                                           ? sequence.expected(t, h)
                                           : c.unknown();
      expected.insert(expected.end(), head.begin(), head.end());
    }
  }
  return result_of(subject, c.name(), largest_error(out, expected), c.tolerance());
}

/// A position gives the same however its sequence is cut into steps.
CheckResult check_cuts(const Subject& subject) {
  const Case c{2, 8, 8, 24, 80, CacheType::kBF16};
  const std::vector<float> whole = Sequence(subject, c).step(0, c.positions);
  double error = 0.0;
  const Sequence cut(subject, c);
  for (std::int64_t first = 0; first < c.positions; first += 31) {
    const std::int64_t count = std::min<std::int64_t>(31, c.positions - first);
    const std::vector<float> part = cut.step(first, count);
    error =
        std::max(error, differs(part.data(), whole.data() + first * c.heads * c.rank, part.size()));
  }
  return result_of(subject, c.name() + " in cuts", error, 0.0);
}

}  // namespace

std::vector<CheckResult> check_latent(const Subject& subject) {
  std::vector<Case> cases = {{4, 16, 8, 32, 20},
                             {1, 2, 2, 2, 1},
                             {5, 4, 6, 20, 33, CacheType::kF16, 24, false},
                             {2, 16, 64, 512, 12, CacheType::kBF16},
                             {3, 8, 8, 40, 25, CacheType::kF8},
                             {2, 8, 8, 24, 150}};
  if (subject.large) {
    cases.push_back({128, 128, 64, 512, 700, CacheType::kBF16});
    cases.push_back({16, 128, 64, 512, 5000, CacheType::kBF16, 64});
    cases.push_back({16, 128, 64, 512, 300, CacheType::kF8, 64});
  }
  std::vector<CheckResult> results;
  for (const Case& c : cases) results.push_back(check(subject, c));
  results.push_back(check_cuts(subject));
  return results;
}

}  // namespace bundle::kernels::cuda
