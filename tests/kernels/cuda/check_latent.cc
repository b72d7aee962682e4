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
  /// Of what is stored; of 8-bit floats, whose rounding is expected, a step to the other side.
  double rounding() const {
    static constexpr double kRounding[] = {1e-5, 1e-3, 8e-3, 0.125};
    return kRounding[static_cast<int>(type)];
  }
};

constexpr float kEps = 1e-6f;
constexpr float kScale = 0.1f;
constexpr double kTolerance = 3e-5;  // of attention, given what is cached

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

  /// Rotates the queries of positions [first, first + count), stores their latents, and lets them
  /// look back: (count, heads, rank). `reach`: as far as the batch is said to reach; 0: as it does.
  std::vector<float> step(std::int64_t first, std::int64_t count, std::int64_t reach = 0) const {
    const Case& c = case_;
    std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
    positions.push_back(-1);  // a row of nobody
    const DeviceArray<std::int32_t> on_device(subject_, positions);
    const DeviceArray<std::int32_t> tables(subject_,
                                           std::vector<std::int32_t>(positions.size(), 0));
    const RowMap map{on_device.get(), tables.get(), table_->get()};
    const DeviceArray<float> q(subject_, rows_of(q_, first, count));
    store(first, count, map, q.get());
    if (reach == 0) reach = first + count;
    const DeviceArray<float> query(subject_, rows_of(query_, first, count));
    const DeviceArray<float> out(
        subject_, unwritten(static_cast<std::size_t>((count + 1) * c.heads * c.rank)));
    const DeviceArray<float> partial(subject_, static_cast<std::size_t>(latent_partial_floats(
                                                   count + 1, c.heads, c.rank, reach)));
    subject_.ops.latent_attention(subject_.stream,
                                  {query.get(), q.get(), out.get(), count + 1, c.heads, c.nope_dim,
                                   c.rope_dim, c.rank, kScale, map, layer_, reach, partial.get()});
    std::vector<float> all = out.read();
    const auto own = static_cast<std::ptrdiff_t>(count * c.heads * c.rank);
    if (!std::all_of(all.begin() + own, all.end(), [](float x) { return std::isnan(x); })) {
      return {};  // a row of nobody was written
    }
    all.resize(static_cast<std::size_t>(own));
    return all;
  }

  /// The same without looking back.
  void fill(std::int64_t count) const {
    std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), 0);
    const DeviceArray<std::int32_t> on_device(subject_, positions);
    const DeviceArray<std::int32_t> tables(subject_,
                                           std::vector<std::int32_t>(positions.size(), 0));
    const DeviceArray<float> q(subject_, rows_of(q_, 0, count));
    store(0, count, {on_device.get(), tables.get(), table_->get()}, q.get());
  }

  /// Reads back what is cached: (positions, rank + rope_dim).
  std::vector<double> cached() const {
    const auto each = static_cast<std::size_t>(cache_element_bytes(case_.type));
    const auto elements =
        static_cast<std::size_t>(layer_.blocks * case_.block_tokens * layer_.stride);
    std::vector<std::uint8_t> bytes(elements * each);
    subject_.driver.copy_out(subject_.stream, bytes.data(), layer_.data, bytes.size());
    subject_.driver.wait(subject_.stream);
    const std::vector<std::int32_t> table = table_->read();
    std::vector<double> values;
    for (std::int64_t t = 0; t < case_.positions; ++t) {
      const std::int64_t slot =
          table[static_cast<std::size_t>(t / case_.block_tokens)] * case_.block_tokens +
          t % case_.block_tokens;
      for (int i = 0; i < case_.latent_dim(); ++i) {
        values.push_back(
            widened(bytes.data() + each * static_cast<std::size_t>(slot * layer_.stride + i)));
      }
    }
    return values;
  }

  /// What latents should be cached as, but for the type's rounding.
  std::vector<double> latents() const {
    std::vector<double> values;
    for (std::int64_t t = 0; t < case_.positions; ++t) {
      const std::vector<double> one = stored(t);
      values.insert(values.end(), one.begin(), one.end());
    }
    return values;
  }

  /// What position t's head h makes of `cached` latents, in double.
  std::vector<double> expected(const std::vector<double>& cached, std::int64_t t, int h) const {
    const Case& c = case_;
    const float* own = q_.data() + (t * c.heads + h) * c.query_dim() + c.nope_dim;
    const std::vector<double> turned = rotated(own, t);
    const float* absorbed = query_.data() + (t * c.heads + h) * c.rank;
    std::vector<double> out(static_cast<std::size_t>(c.rank));
    double total = 0.0;
    for (std::int64_t s = 0; s <= t; ++s) {
      const double* latent = cached.data() + s * c.latent_dim();
      double score = 0.0;
      for (int i = 0; i < c.rank; ++i) score += absorbed[i] * latent[i];
      for (int i = 0; i < c.rope_dim; ++i) {
        score += turned[static_cast<std::size_t>(i)] * latent[c.rank + i];
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

  void store(std::int64_t first, std::int64_t count, const RowMap& map, float* q) const {
    const Case& c = case_;
    const DeviceArray<float> latent(subject_, rows_of(latent_, first, count));
    const DeviceArray<float> norm(subject_, norm_, MemoryKind::kWeights);
    const DeviceArray<float> freq(subject_, freq_, MemoryKind::kWeights);
    subject_.ops.latent_store(subject_.stream,
                              {q, count, c.heads, c.nope_dim, c.rope_dim, latent.get(), c.rank,
                               norm.get(), kEps, freq.get(), 1.0f, c.interleaved, map, layer_});
    subject_.driver.wait(subject_.stream);
  }

  double widened(const std::uint8_t* bytes) const {
    if (case_.type == CacheType::kF8) return f8e4m3_to_float(*bytes);
    if (case_.type == CacheType::kF32) {
      float value;
      std::memcpy(&value, bytes, sizeof(value));
      return value;
    }
    std::uint16_t bits;
    std::memcpy(&bits, bytes, sizeof(bits));
    return case_.type == CacheType::kBF16 ? bf16_to_float(bits) : half_to_float(bits);
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

/// The last positions of a sequence.
void check(const Subject& subject, const Case& c, std::vector<CheckResult>& results) {
  const Sequence sequence(subject, c);
  const std::int64_t last = std::min<std::int64_t>(c.positions, 3);
  if (c.positions > last) sequence.fill(c.positions - last);
  const std::vector<float> out = sequence.step(c.positions - last, last);
  const std::vector<double> cached = sequence.cached();
  std::vector<double> expected;
  const std::int64_t step = sampling_step(last * c.heads, 8 * c.positions * c.rank);
  for (std::int64_t t = c.positions - last; t < c.positions; ++t) {
    for (int h = 0; h < c.heads; ++h) {
      const std::vector<double> head = (c.positions - t + c.heads - 1 - h - 1) % step == 0
                                           ? sequence.expected(cached, t, h)
                                           : c.unknown();
      expected.insert(expected.end(), head.begin(), head.end());
    }
  }
  results.push_back(result_of(subject, c.name(), largest_error(out, expected), kTolerance));
  const std::vector<float> stored(cached.begin(), cached.end());
  results.push_back(result_of(subject, c.name() + ", as stored",
                              largest_error(stored, sequence.latents()), c.rounding()));
}

/// A position gives the same however its sequence is cut into steps, and whatever else is in them.
CheckResult check_cuts(const Subject& subject, const Case& c) {
  const std::vector<float> whole = Sequence(subject, c).step(0, c.positions);
  double error = 0.0;
  const Sequence cut(subject, c);
  for (std::int64_t first = 0; first < c.positions; first += 31) {
    const std::int64_t count = std::min<std::int64_t>(31, c.positions - first);
    const std::vector<float> part = cut.step(first, count, first % 2 == 0 ? 0 : 20000);
    if (part.empty() || whole.empty()) return result_of(subject, c.name() + " in cuts", 1.0, 0.0);
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
                             {3, 8, 8, 40, 25, CacheType::kF8},
                             {2, 8, 8, 24, 150},
                             {4, 8, 8, 24, 700, CacheType::kF16},
                             // On tensor cores, small latents: around one position, the edges of
                             // tiles (32) and of spans (64, then 128), and of 16 heads.
                             {1, 2, 2, 2, 1, CacheType::kBF16},
                             {5, 3, 6, 20, 33, CacheType::kBF16, 24, false},
                             {16, 8, 8, 56, 64, CacheType::kBF16},
                             {17, 8, 2, 62, 65, CacheType::kBF16},
                             {33, 4, 6, 26, 130, CacheType::kBF16, 48},
                             {3, 8, 8, 40, 700, CacheType::kBF16},
                             {128, 2, 2, 6, 35, CacheType::kBF16},
                             // The same, large latents, and one whose rank is too large.
                             {2, 16, 64, 512, 12, CacheType::kBF16},
                             {18, 16, 64, 512, 98, CacheType::kBF16},
                             {2, 4, 60, 106, 33, CacheType::kBF16},
                             {1, 4, 66, 510, 32, CacheType::kBF16},
                             {2, 4, 4, 514, 31, CacheType::kBF16}};
  if (subject.large) {
    cases.push_back({128, 128, 64, 512, 700, CacheType::kBF16});
    cases.push_back({16, 128, 64, 512, 5000, CacheType::kBF16, 64});
    cases.push_back({3, 128, 64, 512, 9000, CacheType::kBF16, 64});
    cases.push_back({16, 128, 64, 512, 300, CacheType::kF8, 64});
  }
  std::vector<CheckResult> results;
  for (const Case& c : cases) check(subject, c, results);
  results.push_back(check_cuts(subject, {2, 8, 8, 24, 80, CacheType::kBF16}));
  results.push_back(check_cuts(subject, {2, 8, 8, 24, 80, CacheType::kF16}));
  return results;
}

}  // namespace bundle::kernels::cuda
