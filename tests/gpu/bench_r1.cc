// The parts of DeepSeek-R1's layers, cut as for eight GPUs (tensor parallelism): latent attention
// with its products, and the routed experts. Shapes are those of its config.json.
#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "tests/gpu/random_matrix.h"

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kHidden = 7168;
constexpr std::int64_t kQueryRank = 1536;
constexpr int kRank = 512;
constexpr int kRope = 64;
constexpr int kNope = 128;
constexpr int kValue = 128;
constexpr std::int64_t kExpertWidth = 2048 / 8;
constexpr int kExperts = 256;
constexpr int kChosen = 8;
constexpr int kBlockTokens = 64;

/// Scales of an 8-bit matrix: ones.
DeviceMatrix scaled_matrix(Pool& pool, std::int64_t rows, std::int64_t cols) {
  DeviceMatrix matrix = random_matrix(pool, DType::kF8E4M3, rows, cols);
  matrix.block_scales = pool.place(std::vector<float>(
      static_cast<std::size_t>((rows + 127) / 128 * ((cols + 127) / 128)), 1.0f));
  return matrix;
}

/// Latent attention of `heads` heads for one token of each sequence.
class LatentBench {
 public:
  LatentBench(const Subject& subject, int heads, std::int64_t sequences, std::int64_t positions)
      : subject_(subject), pool_(subject), heads_(heads), sequences_(sequences) {
    const std::int64_t each = (positions + kBlockTokens - 1) / kBlockTokens;
    cache_.type = CacheType::kBF16;
    cache_.blocks = sequences * each;
    cache_.block_tokens = kBlockTokens;
    cache_.kv_heads = cache_.vectors = 1;
    cache_.head_dim = cache_.stride = kRank + kRope;
    cache_bytes_ = 2.0 * static_cast<double>(sequences * positions) * cache_.stride;
    cache_.data = pool_.take(static_cast<std::size_t>(2 * cache_.blocks * kBlockTokens) *
                             static_cast<std::size_t>(cache_.stride));
    std::vector<std::int32_t> tables, blocks(static_cast<std::size_t>(cache_.blocks));
    std::iota(blocks.begin(), blocks.end(), 0);
    for (std::int64_t i = 0; i < sequences; ++i) {
      tables.push_back(static_cast<std::int32_t>(i * each));
    }
    const std::vector<std::int32_t> ends(tables.size(), static_cast<std::int32_t>(positions - 1));
    map_ = {pool_.place(ends), pool_.place(tables), pool_.place(blocks)};
    positions_ = positions;
    q_ = pool_.take_array<float>(sequences * heads * (kNope + kRope));
    query_ = pool_.take_array<float>(sequences * heads * kRank);
    mixed_ = pool_.take_array<float>(sequences * heads * kRank);
    partial_ = pool_.take_array<float>(latent_partial_floats(sequences, heads, kRank, positions));
  }

  bool fits() const { return !pool_.exhausted(); }
  double cache_bytes() const { return cache_bytes_; }

  void attend() const {
    subject_.ops.latent_attention(
        subject_.stream, {query_, q_, mixed_, sequences_, heads_, kNope, kRope, kRank, 0.1f, map_,
                          cache_, positions_, partial_});
  }

 protected:
  const Subject& subject_;
  Pool pool_;
  int heads_;
  std::int64_t sequences_, positions_ = 0;
  double cache_bytes_ = 0.0;
  CacheLayer cache_{};
  RowMap map_{};
  float *q_, *query_, *mixed_, *partial_;
};

/// The same with all that goes with it, from the hidden state to the hidden state.
class AttentionModule : public LatentBench {
 public:
  AttentionModule(const Subject& subject, int heads, std::int64_t sequences, std::int64_t positions)
      : LatentBench(subject, heads, sequences, positions) {
    down_ = matrix(kQueryRank, kHidden);
    latent_ = matrix(kRank + kRope, kHidden);
    up_ = matrix(heads * (kNope + kRope), kQueryRank);
    absorb_ = matrix(std::int64_t{heads} * kRank, kNope);
    value_ = matrix(heads * kValue, kRank);
    out_ = matrix(kHidden, heads * kValue);
    x_ = pool_.take_array<float>(sequences * kHidden);
    low_ = pool_.take_array<float>(sequences * kQueryRank);
    latents_ = pool_.take_array<float>(sequences * (kRank + kRope));
    values_ = pool_.take_array<float>(sequences * heads * kValue);
    norm_ = pool_.place(std::vector<float>(kHidden, 1.0f));
    freq_ = pool_.place(std::vector<float>(kRope / 2, 0.01f));
  }

  double bytes() const { return weight_bytes_ + cache_bytes(); }

  void run() const {
    multiply(down_, x_, norm_, low_, false);
    multiply(up_, low_, norm_, q_, false);
    multiply(latent_, x_, norm_, latents_, false);
    subject_.ops.latent_store(subject_.stream,
                              {q_, sequences_, heads_, kNope, kRope, latents_, kRank, norm_, 1e-6f,
                               freq_, 1.0f, true, map_, cache_});
    heads(absorb_, q_, kNope + kRope, query_, kRank);
    attend();
    heads(value_, mixed_, kRank, values_, kValue);
    multiply(out_, values_, nullptr, x_, true);
  }

 private:
  DeviceMatrix matrix(std::int64_t rows, std::int64_t cols) {
    weight_bytes_ += matrix_bytes(DType::kF8E4M3, rows, cols);
    return scaled_matrix(pool_, rows, cols);
  }
  void multiply(const DeviceMatrix& w, const float* x, const float* norm, float* y,
                bool accumulate) const {
    subject_.ops.matmul(subject_.stream,
                        {w, x, norm, 1e-6f, nullptr, y, w.rows, sequences_, accumulate});
  }
  void heads(const DeviceMatrix& w, const float* x, std::int64_t x_dim, float* y,
             std::int64_t y_dim) const {
    MatmulArgs args{w, x, nullptr, 0.0f, nullptr, y, heads_ * y_dim, sequences_, false};
    args.x_stride = heads_ * x_dim;
    args.stack.count = heads_;
    args.stack.x_step = x_dim;
    args.stack.y_step = y_dim;
    subject_.ops.matmul(subject_.stream, args);
  }

  DeviceMatrix down_, latent_, up_, absorb_, value_, out_;
  double weight_bytes_ = 0.0;
  float *x_, *low_, *latents_, *values_;
  const float *norm_, *freq_;
};

/// The routed experts of one layer for some tokens, whose choices are random and even.
class ExpertsBench {
 public:
  ExpertsBench(const Subject& subject, std::int64_t tokens, int experts, std::int64_t hidden,
               std::int64_t width)
      : subject_(subject),
        pool_(subject),
        tokens_(tokens),
        slots_(tokens * kChosen),
        experts_(experts),
        hidden_(hidden),
        width_(width) {
    gate_up_ = scaled_matrix(pool_, experts * 2 * width, hidden);
    down_ = scaled_matrix(pool_, experts * hidden, width);
    chosen_ = pool_.place(choices());
    weights_ = pool_.take_array<float>(slots_);
    x_ = pool_.take_array<float>(tokens * hidden);
    y_ = pool_.take_array<float>(tokens * hidden);
    active_ = pool_.take_array<float>(slots_ * width);
    result_ = pool_.take_array<float>(slots_ * hidden);
    order_ = pool_.take_array<std::int32_t>(slots_);
    starts_ = pool_.take_array<std::int32_t>(experts + 1);
    tile_count_ = most_expert_tiles(slots_, experts, kRowsTile);
    tiles_ = pool_.take_array<ExpertTile>(tile_count_);
  }

  bool fits() const { return !pool_.exhausted(); }
  /// Of the experts that are chosen.
  double bytes() const {
    return static_cast<double>(used_) * static_cast<double>(3 * width_ * hidden_);
  }

  void run() const {
    const Ops& ops = subject_.ops;
    if (tokens_ > 1) {
      ops.plan_experts(subject_.stream, {chosen_, slots_, experts_, kRowsTile, order_, starts_,
                                         tiles_, tile_count_});
    }
    multiply(gate_up_, x_, kChosen, active_, width_, true);
    multiply(down_, active_, 1, result_, hidden_, false);
    ops.combine(subject_.stream,
                {result_, weights_, y_, tokens_, hidden_, kChosen, chosen_, 0, experts_});
  }

 private:
  std::vector<std::int32_t> choices() {
    std::mt19937 random(3);
    std::vector<std::int32_t> all(static_cast<std::size_t>(experts_)), chosen;
    std::iota(all.begin(), all.end(), 0);
    std::vector<bool> used(all.size());
    for (std::int64_t t = 0; t < tokens_; ++t) {
      std::shuffle(all.begin(), all.end(), random);
      chosen.insert(chosen.end(), all.begin(), all.begin() + kChosen);
      for (int k = 0; k < kChosen; ++k) used[static_cast<std::size_t>(all[k])] = true;
    }
    used_ = std::count(used.begin(), used.end(), true);
    return chosen;
  }
  void multiply(const DeviceMatrix& w, const float* x, std::int64_t share, float* y,
                std::int64_t stride, bool gated) const {
    MatmulArgs args{w, x, nullptr, 0.0f, nullptr, y, stride, slots_, false};
    args.gated = gated;
    args.stack.count = experts_;
    args.stack.share = share;
    if (tokens_ == 1) {
      args.stack.chosen = chosen_;
    } else {
      args.stack.order = order_;
      args.stack.tiles = tiles_;
      args.stack.tile_count = tile_count_;
    }
    subject_.ops.matmul(subject_.stream, args);
  }

  const Subject& subject_;
  Pool pool_;
  std::int64_t tokens_, slots_;
  int experts_;
  std::int64_t hidden_, width_;
  std::int64_t used_ = 0;
  DeviceMatrix gate_up_, down_;
  std::int32_t *chosen_, *order_, *starts_;
  ExpertTile* tiles_;
  std::int64_t tile_count_ = 0;
  float *weights_, *x_, *y_, *active_, *result_;
};

/// Sequences or tokens, and the best published time in microseconds.
constexpr std::pair<std::int64_t, double> kAttentionTimes[] = {
    {1, 93.0}, {32, 123.0}, {128, 155.0}};
constexpr std::pair<std::int64_t, double> kExpertTimes[] = {{1, 36.0}, {8, 94.0}, {64, 249.0}};

int runs(const Subject& subject) { return subject.large ? 20 : 1; }

Timing time_latent(const Subject& subject, int heads, std::int64_t sequences,
                   std::int64_t positions, double published_us) {
  const LatentBench bench(subject, heads, sequences, positions);
  Timing timing{"latent attention of " + std::to_string(heads) + " heads, " +
                    std::to_string(sequences) + " sequences of " + std::to_string(positions),
                0,
                bench.cache_bytes(),
                0,
                published_us,
                bench.fits() ? "" : "not enough memory"};
  if (!bench.fits()) return timing;
  timing.microseconds = median_microseconds(subject, runs(subject), [&] { bench.attend(); });
  return timing;
}

/// In a graph, as the engine runs it.
template <typename Bench>
Timing time_captured(const Subject& subject, const Bench& bench, std::string name,
                     double published_us) {
  Timing timing{std::move(name), 0, bench.bytes(), 0, published_us, ""};
  if (!bench.fits()) {
    timing.problem = "not enough memory";
    return timing;
  }
  bench.run();
  subject.driver.wait(subject.stream);
  subject.driver.begin_capture(subject.stream);
  bench.run();
  const Graph graph = subject.driver.end_capture(subject.stream);
  if (graph == nullptr) {
    timing.problem = "it can not be captured";
    return timing;
  }
  timing.microseconds = median_microseconds(subject, runs(subject),
                                            [&] { subject.driver.replay(graph, subject.stream); });
  subject.driver.free_graph(graph);
  return timing;
}

}  // namespace

std::vector<Timing> bench_r1(const Subject& subject) {
  if (!subject.large) {
    return {time_latent(subject, 4, 2, 70, 0),
            time_captured(subject, ExpertsBench(subject, 2, 16, 256, 32), "experts, small", 0)};
  }
  std::vector<Timing> timings = {time_latent(subject, 16, 1, 1024, 0),
                                 time_latent(subject, 16, 64, 4096, 91),
                                 time_latent(subject, 128, 64, 4096, 134)};
  for (const auto& [sequences, published] : kAttentionTimes) {
    timings.push_back(time_captured(
        subject, AttentionModule(subject, 16, sequences, 1024),
        "R1 attention of 1/8, " + std::to_string(sequences) + " sequences of 1024", published));
  }
  for (const auto& [tokens, published] : kExpertTimes) {
    timings.push_back(
        time_captured(subject, ExpertsBench(subject, tokens, kExperts, kHidden, kExpertWidth),
                      "R1 experts of 1/8, " + std::to_string(tokens) + " tokens", published));
  }
  return timings;
}

}  // namespace bundle::kernels::cuda
