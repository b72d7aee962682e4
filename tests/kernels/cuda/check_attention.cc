// Rotation, the paged cache and attention together, as a layer uses them: a prompt is stored in
// pieces, and rows at several places look back.
#include <iterator>
#include <memory>
#include <numeric>

#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {
namespace {

struct Case {
  int heads;
  int kv_heads;
  int head_dim;
  std::int64_t positions;
  CacheType type = CacheType::kF32;
  int block_tokens = 16;
  std::int64_t window = 0;
  bool norms = false;
  bool interleaved = false;
  int rotary_dim = 0;  // 0: all of a head

  std::string name() const {
    static constexpr const char* kTypes[] = {"F32", "F16", "BF16", "F8"};
    return "attention " + std::to_string(heads) + "/" + std::to_string(kv_heads) + "x" +
           std::to_string(head_dim) + " of " + std::to_string(positions) + " " +
           kTypes[static_cast<int>(type)] + " blocks of " + std::to_string(block_tokens) +
           (window > 0 ? " window " + std::to_string(window) : "") + (norms ? " norms" : "") +
           (interleaved ? " interleaved" : "");
  }
  int cols() const { return (heads + 2 * kv_heads) * head_dim; }
  std::vector<double> unknown() const {
    return std::vector<double>(static_cast<std::size_t>(head_dim), kAnyNumber);
  }
  int turned() const { return rotary_dim > 0 ? rotary_dim : head_dim; }
  /// Keys that are rotated in float may round to the neighbour of what the reference rounds to.
  double tolerance() const {
    return type == CacheType::kF32    ? 2e-5
           : type == CacheType::kF16  ? 1e-4
           : type == CacheType::kBF16 ? 5e-4
                                      : 1e-2;
  }
};

constexpr float kEps = 1e-5f;

/// How rows look back once they are stored.
enum class Look { kNot, kAlone, kTiled };

/// One sequence on the device.
class Sequence {
 public:
  Sequence(const Subject& subject, const Case& c)
      : subject_(subject), case_(c), random_(subject.seed), layer_(make_layer()) {
    const auto blocks = static_cast<std::size_t>(layer_.blocks);
    std::vector<std::int32_t> table(blocks);
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), random_);
    table_ = std::make_unique<DeviceArray<std::int32_t>>(subject, table);
    qkv_ = random_values(static_cast<std::size_t>(c.positions * c.cols()), random_);
    q_norm_ = random_values(static_cast<std::size_t>(c.head_dim), random_);
    k_norm_ = random_values(static_cast<std::size_t>(c.head_dim), random_);
    for (int i = 0; i < c.turned() / 2; ++i) {
      freq_.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / c.turned())));
    }
  }
  ~Sequence() { subject_.driver.free(layer_.data); }
  Sequence(const Sequence&) = delete;

  /// Stores positions [first, first + count) and lets them look back, as tiles or each alone.
  std::vector<float> step(std::int64_t first, std::int64_t count, Look look = Look::kAlone) const {
    const Case& c = case_;
    std::vector<std::int32_t> positions(static_cast<std::size_t>(count));
    std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(first));
    positions.push_back(-1);  // a row of nobody
    const DeviceArray<std::int32_t> on_device(subject_, positions);
    const DeviceArray<std::int32_t> tables(
        subject_, std::vector<std::int32_t>(static_cast<std::size_t>(count + 1), 0));
    const auto from = qkv_.begin() + first * c.cols();
    std::vector<float> rows(from, from + count * c.cols());
    rows.resize(rows.size() + static_cast<std::size_t>(c.cols()), 7.0f);
    const DeviceArray<float> qkv(subject_, rows);
    const DeviceArray<float> out(
        subject_, unwritten(static_cast<std::size_t>((count + 1) * c.heads * c.head_dim)));
    const DeviceArray<float> q(subject_, q_norm_, MemoryKind::kWeights);
    const DeviceArray<float> k(subject_, k_norm_, MemoryKind::kWeights);
    const DeviceArray<float> freq(subject_, freq_, MemoryKind::kWeights);
    const RowMap map{on_device.get(), tables.get(), table_->get()};
    subject_.ops.rope_store(
        subject_.stream,
        {qkv.get(), count + 1, c.heads, c.norms ? q.get() : nullptr, c.norms ? k.get() : nullptr,
         kEps, freq.get(), c.turned(), 1.0f, c.interleaved, map, layer_});
    if (look == Look::kTiled) attend_tiles(first, count, map, qkv.get(), out.get());
    if (look == Look::kAlone) attend_rows(first, count, map, qkv.get(), out.get());
    std::vector<float> all = out.read();
    all.resize(static_cast<std::size_t>(count * c.heads * c.head_dim));
    return all;
  }

  /// Stores the first positions.
  void fill(std::int64_t positions) const {
    constexpr std::int64_t kAtOnce = 1024;
    for (std::int64_t first = 0; first < positions; first += kAtOnce) {
      step(first, std::min(kAtOnce, positions - first), Look::kNot);
    }
  }

  /// What position t's head h gives, in double.
  std::vector<double> expected(std::int64_t t, int h) const {
    const Case& c = case_;
    const int kv = h / (c.heads / c.kv_heads);
    const std::int64_t from =
        c.window > 0 ? std::max<std::int64_t>(0, t - c.window + 1) : std::int64_t{0};
    const std::vector<double> query = turned(t, h, true);
    std::vector<double> out(static_cast<std::size_t>(c.head_dim));
    double total = 0.0;
    for (std::int64_t s = from; s <= t; ++s) {
      const std::vector<double> key = turned(s, c.heads + kv, false);
      double score = 0.0;
      for (std::size_t d = 0; d < out.size(); ++d) {
        score += query[d] * as_cached(c.type, key[d]);
      }
      const double weight = std::exp(score * scale());
      total += weight;
      for (std::size_t d = 0; d < out.size(); ++d) {
        out[d] += weight * as_cached(c.type, raw(s, c.heads + c.kv_heads + kv)[d]);
      }
    }
    for (double& value : out) value /= total;
    return out;
  }

 private:
  void attend_rows(std::int64_t first, std::int64_t count, const RowMap& map, const float* qkv,
                   float* out) const {
    const std::int64_t reach = first + count;
    const DeviceArray<float> partial(subject_, static_cast<std::size_t>(attention_partial_floats(
                                                   count + 1, case_.heads, layer_.stride, reach)));
    subject_.ops.attention(subject_.stream,
                           {qkv, case_.cols(), out, count + 1, case_.heads, scale(), case_.window,
                            map, layer_, reach, partial.get()});
    subject_.driver.wait(subject_.stream);
  }

  void attend_tiles(std::int64_t first, std::int64_t count, const RowMap& map, const float* qkv,
                    float* out) const {
    std::vector<AttentionTile> tiles;
    for (std::int64_t i = 0; i < count; i += kAttentionTileRows) {
      tiles.push_back(
          {static_cast<std::int32_t>(i),
           static_cast<std::int32_t>(std::min<std::int64_t>(kAttentionTileRows, count - i)),
           static_cast<std::int32_t>(first + i), 0});
    }
    const DeviceArray<AttentionTile> on_device(subject_, tiles);
    subject_.ops.attention_tiles(
        subject_.stream,
        {qkv, case_.cols(), out, on_device.get(), static_cast<std::int64_t>(tiles.size()),
         case_.heads, scale(), case_.window, map, layer_});
    subject_.driver.wait(subject_.stream);
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(case_.head_dim)); }
  const float* raw(std::int64_t t, int head) const {
    return qkv_.data() + t * case_.cols() + head * case_.head_dim;
  }

  CacheLayer make_layer() const {
    const Case& c = case_;
    CacheLayer layer{};
    layer.type = c.type;
    layer.blocks = (c.positions + c.block_tokens - 1) / c.block_tokens + 2;
    layer.block_tokens = c.block_tokens;
    layer.kv_heads = c.kv_heads;
    layer.head_dim = c.head_dim;
    layer.stride = (c.head_dim + 7) / 8 * 8;
    const std::int64_t bytes =
        layer.blocks * 2 * c.kv_heads * c.block_tokens * layer.stride * cache_element_bytes(c.type);
    layer.data = subject_.driver.allocate(static_cast<std::size_t>(bytes), MemoryKind::kWork);
    // What was never stored must not be seen: it is NaN.
    subject_.driver.fill(subject_.stream, layer.data, 0xFF, static_cast<std::size_t>(bytes));
    return layer;
  }

  std::vector<double> turned(std::int64_t t, int head, bool query) const {
    const Case& c = case_;
    std::vector<double> out(raw(t, head), raw(t, head) + c.head_dim);
    if (c.norms) {
      const std::vector<float>& norm = query ? q_norm_ : k_norm_;
      double squares = 0.0;
      for (const double value : out) squares += value * value;
      const double factor = 1.0 / std::sqrt(squares / c.head_dim + kEps);
      for (std::size_t d = 0; d < out.size(); ++d) out[d] *= factor * norm[d];
    }
    const int half = c.turned() / 2;
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

  const Subject& subject_;
  const Case& case_;
  std::mt19937 random_;
  CacheLayer layer_;
  std::unique_ptr<DeviceArray<std::int32_t>> table_;
  std::vector<float> qkv_, q_norm_, k_norm_, freq_;
};

/// The prompt in one step against the reference, at its ends and here and there.
CheckResult check(const Subject& subject, const Case& c) {
  const Sequence sequence(subject, c);
  const std::int64_t last = std::min<std::int64_t>(c.positions, 6);
  sequence.fill(c.positions - last);
  const std::vector<float> out = sequence.step(c.positions - last, last);
  std::vector<double> expected;
  const std::int64_t step = sampling_step(last * c.heads, 16 * c.positions * c.head_dim);
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

/// The same with the prompt's end as tiles.
CheckResult check_tiled(const Subject& subject, const Case& c, std::int64_t rows) {
  const Sequence sequence(subject, c);
  sequence.fill(c.positions - rows);
  const std::vector<float> out = sequence.step(c.positions - rows, rows, Look::kTiled);
  double error = 0.0;
  const std::int64_t step = sampling_step(rows * c.heads, 16 * c.positions * c.head_dim);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (int h = 0; h < c.heads; ++h) {
      if ((rows - 1 - i + c.heads - 1 - h) % step != 0) continue;
      const auto from = out.begin() + (i * c.heads + h) * c.head_dim;
      error = std::max(error, largest_error({from, from + c.head_dim},
                                            sequence.expected(c.positions - rows + i, h)));
    }
  }
  return result_of(subject, "tiles of " + c.name(), error, std::max(1e-4, c.tolerance()));
}

/// A position gives the same however its sequence is cut into steps.
CheckResult check_cuts(const Subject& subject, const Case& c) {
  const std::vector<float> whole = Sequence(subject, c).step(0, c.positions);
  double error = 0.0;
  const Sequence cut(subject, c);
  for (std::int64_t first = 0; first < c.positions; first += 31) {
    const std::int64_t count = std::min<std::int64_t>(31, c.positions - first);
    const std::vector<float> part = cut.step(first, count);
    error = std::max(
        error, differs(part.data(), whole.data() + first * c.heads * c.head_dim, part.size()));
  }
  return result_of(subject, c.name() + " in cuts", error, 0.0);
}

/// What tensor cores attend to: every type of cache with every shape of heads, and contexts that
/// end before, at and behind the ends of tiles, of spans and of a block's warps.
std::vector<Case> grouped_cases() {
  std::vector<Case> cases;
  std::int64_t turn = 0;
  for (const CacheType type : {CacheType::kF16, CacheType::kBF16, CacheType::kF8}) {
    for (const int head_dim : {64, 80, 96, 128, 256}) {
      for (const int group : {1, 2, 4, 5, 7, 8, 16, 20}) {
        constexpr std::int64_t kPositions[] = {6, 15, 16, 17, 33, 48, 63, 64, 65, 70, 81, 129};
        constexpr int kBlocks[] = {16, 1, 24, 64};
        constexpr std::int64_t kWindows[] = {0, 0, 1, 20, 64};
        const std::int64_t i = turn++;
        cases.push_back({group * (i % 3 == 0 ? 2 : 1), i % 3 == 0 ? 2 : 1, head_dim,
                         kPositions[i % std::size(kPositions)], type,
                         kBlocks[i % std::size(kBlocks)], kWindows[i % std::size(kWindows)]});
      }
    }
    // More tiles than warps, spans of two lengths, and windows that end inside of them.
    cases.push_back({4, 1, 64, 1030, type});
    cases.push_back({2, 1, 32, 1100, type, 16, 300});
  }
  return cases;
}

}  // namespace

std::vector<CheckResult> check_attention_tiles(const Subject& subject) {
  std::vector<CheckResult> results;
  results.push_back(check_tiled(subject, {2, 1, 32, 20}, 20));
  results.push_back(check_tiled(subject, {4, 2, 64, 100, CacheType::kBF16}, 70));
  results.push_back(check_tiled(subject, {6, 2, 40, 90, CacheType::kF16, 24}, 17));
  results.push_back(check_tiled(subject, {5, 1, 128, 50}, 20));
  results.push_back(check_tiled(subject, {4, 2, 48, 40, CacheType::kF8}, 18));
  results.push_back(check_tiled(subject, {4, 1, 32, 150, CacheType::kF32, 16, 40}, 60));
  if (subject.large) {
    results.push_back(check_tiled(subject, {32, 8, 128, 2000, CacheType::kBF16}, 512));
    results.push_back(check_tiled(subject, {28, 4, 128, 5000, CacheType::kF16, 64}, 300));
  }
  return results;
}

std::vector<CheckResult> check_attention(const Subject& subject) {
  std::vector<Case> cases = {{4, 2, 64, 40},
                             {1, 1, 8, 1},
                             {3, 3, 24, 20},
                             {14, 2, 64, 20},
                             {9, 3, 128, 70},
                             {11, 1, 72, 5},
                             {2, 1, 256, 33},
                             {8, 1, 128, 300, CacheType::kF16},
                             {6, 2, 64, 90, CacheType::kF8},
                             {6, 3, 64, 300, CacheType::kBF16},
                             {4, 2, 40, 150, CacheType::kF16, 1},
                             {4, 2, 40, 150, CacheType::kF32, 24},
                             {4, 1, 64, 200, CacheType::kF32, 16, 1},
                             {4, 1, 64, 200, CacheType::kF32, 16, 70},
                             {4, 2, 32, 30, CacheType::kF32, 16, 0, true},
                             {4, 2, 32, 30, CacheType::kF32, 16, 0, true, true},
                             {4, 2, 32, 30, CacheType::kF32, 16, 0, false, false, 16}};
  if (subject.large) {
    cases.push_back({32, 8, 128, 2100, CacheType::kBF16, 16});
    cases.push_back({32, 8, 128, 5000, CacheType::kF16, 64});
    cases.push_back({28, 4, 128, 40000, CacheType::kBF16, 16});
  }
  for (const Case& c : grouped_cases()) cases.push_back(c);
  std::vector<CheckResult> results;
  for (const Case& c : cases) results.push_back(check(subject, c));
  results.push_back(check_cuts(subject, {4, 2, 32, 150, CacheType::kBF16}));
  results.push_back(check_cuts(subject, {9, 1, 72, 150, CacheType::kF16, 24, 50}));
  return results;
}

}  // namespace bundle::kernels::cuda
