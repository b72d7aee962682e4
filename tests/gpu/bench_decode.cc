// A decode step as the engine runs it, in one graph, over weights of the published shapes.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/kernels/cuda/host/wide_shape.h"
#include "tests/gpu/random_matrix.h"

namespace bundle::kernels::cuda {
namespace {

struct ModelShape {
  const char* name;
  std::int64_t hidden, layers, heads, kv_heads, head_dim, intermediate, vocab;
};

// config.json of each model as published by deepseek-ai.
constexpr ModelShape kModels[] = {
    {"R1-Distill-Qwen-1.5B", 1536, 28, 12, 2, 128, 8960, 151936},
    {"R1-Distill-Qwen-7B", 3584, 28, 28, 4, 128, 18944, 152064},
    {"R1-Distill-Llama-8B", 4096, 32, 32, 8, 128, 14336, 128256},
    {"R1-Distill-Qwen-14B", 5120, 48, 40, 8, 128, 13824, 152064},
    {"R1-Distill-Qwen-32B", 5120, 64, 40, 8, 128, 27648, 152064},
};
constexpr ModelShape kTiny = {"tiny", 128, 2, 4, 2, 32, 256, 300};

constexpr int kBlockTokens = 16;
constexpr float kEps = 1e-5f;

struct LayerWeights {
  DeviceMatrix qkv, out, gate_up, down;
};

/// A model with a cache in which every sequence has `positions` tokens behind it.
class Decoder {
 public:
  Decoder(const Subject& subject, const ModelShape& shape, DType type, std::int64_t sequences,
          std::int64_t positions)
      : subject_(subject),
        shape_(shape),
        sequences_(sequences),
        positions_(positions),
        pool_(subject) {
    for (std::int64_t i = 0; i < shape.layers && !pool_.exhausted(); ++i) {
      layers_.push_back({matrix(type, qkv_cols(), shape.hidden),
                         matrix(type, shape.hidden, shape.heads * shape.head_dim),
                         matrix(type, 2 * shape.intermediate, shape.hidden),
                         matrix(type, shape.hidden, shape.intermediate)});
    }
    head_ = matrix(type, shape.vocab, shape.hidden);
    embedding_ = random_matrix(pool_, DType::kBF16, shape.vocab, shape.hidden);
    norm_ = pool_.place(std::vector<float>(static_cast<std::size_t>(shape.hidden), 1.0f));
    std::vector<float> freq(static_cast<std::size_t>(shape.head_dim / 2));
    for (std::size_t i = 0; i < freq.size(); ++i) {
      freq[i] = static_cast<float>(
          std::pow(5e5, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim)));
    }
    freq_ = pool_.place(freq);
    take_activations();
    take_cache();
  }

  bool fits() const { return !pool_.exhausted(); }

  /// Bytes of a step: all weights but the embedding, and the cache.
  double bytes() const {
    const double cache = 2.0 * 2.0 *
                         static_cast<double>(sequences_ * positions_ * shape_.layers *
                                             shape_.kv_heads * shape_.head_dim);
    return weight_bytes_ + cache;
  }

  void step() const {
    const Ops& ops = subject_.ops;
    const Stream stream = subject_.stream;
    ops.embed(stream, {embedding_, 0, ids_, x_, sequences_});
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LayerWeights& w = layers_[i];
      const CacheLayer cache = cache_of(i);
      multiply(w.qkv, x_, norm_, qkv_, false);
      ops.rope_store(
          stream, {qkv_, sequences_, static_cast<int>(shape_.heads), nullptr, nullptr, kEps, freq_,
                   static_cast<int>(shape_.head_dim), 1.0f, false, map_, cache});
      ops.attention(stream, {qkv_, qkv_cols(), mixed_, sequences_, static_cast<int>(shape_.heads),
                             0.088f, 0, map_, cache, positions_, partial_});
      multiply(w.out, mixed_, nullptr, x_, true);
      multiply_gated(w.gate_up);
      multiply(w.down, active_, nullptr, x_, true);
    }
    multiply(head_, x_, norm_, logits_, false);
  }

 private:
  std::int64_t qkv_cols() const { return (shape_.heads + 2 * shape_.kv_heads) * shape_.head_dim; }

  DeviceMatrix matrix(DType type, std::int64_t rows, std::int64_t cols) {
    // Super-blocks of 256 need widths that some models do not have: those keep 8 bits there.
    const DType used = packed_row(type, cols) ? type : DType::kQ8_0;
    weight_bytes_ += matrix_bytes(used, rows, cols);
    return random_matrix(pool_, used, rows, cols);
  }

  void multiply(const DeviceMatrix& w, const float* x, const float* norm, float* y,
                bool accumulate) const {
    MatmulArgs args{w, x, norm, kEps, nullptr, y, w.rows, sequences_, accumulate};
    if (sequences_ <= kFewTokens || w.kind != WeightKind::kBF16) {
      return subject_.ops.matmul(subject_.stream, args);
    }
    if (norm != nullptr) {
      subject_.ops.rms_norm(subject_.stream, {x, norm, normed_, sequences_, w.cols, kEps});
      args.x = normed_;
      args.norm = nullptr;
    }
    multiply_wide(subject_, args, planes_, partial_sums_);
  }

  /// As the engine's device does: in one kernel where it can be.
  void multiply_gated(const DeviceMatrix& w) const {
    MatmulArgs args{w, x_, norm_, kEps, nullptr, active_, shape_.intermediate, sequences_, false};
    args.gated = true;
    static const std::size_t shared_bytes = subject_.driver.facts().shared_bytes;
    if (sequences_ <= kFewTokens && multiplies_few(args, shared_bytes)) {
      return subject_.ops.matmul(subject_.stream, args);
    }
    multiply(w, x_, norm_, gate_up_, false);
    subject_.ops.silu_mul(subject_.stream, {gate_up_, active_, sequences_, shape_.intermediate});
  }

  void take_activations() {
    const ModelShape& s = shape_;
    x_ = pool_.take_array<float>(sequences_ * s.hidden);
    qkv_ = pool_.take_array<float>(sequences_ * qkv_cols());
    mixed_ = pool_.take_array<float>(sequences_ * s.heads * s.head_dim);
    gate_up_ = pool_.take_array<float>(sequences_ * 2 * s.intermediate);
    active_ = pool_.take_array<float>(sequences_ * s.intermediate);
    logits_ = pool_.take_array<float>(sequences_ * s.vocab);
    partial_ = pool_.take_array<float>(
        attention_partial_floats(sequences_, s.heads, s.head_dim, positions_));
    ids_ = pool_.place(std::vector<std::int32_t>(static_cast<std::size_t>(sequences_), 5));
    normed_ = pool_.take_array<float>(sequences_ * s.hidden);
    planes_ = pool_.take_array<std::uint16_t>(sequences_ * (s.intermediate + kWideColumns));
    partial_sums_ = pool_.take_array<float>(8 * sequences_ * s.intermediate * 2);
  }

  void take_cache() {
    const std::int64_t each = (positions_ + kBlockTokens - 1) / kBlockTokens;
    blocks_ = sequences_ * each;
    layer_bytes_ = 2 * 2 * blocks_ * kBlockTokens * shape_.kv_heads * shape_.head_dim;
    cache_ =
        static_cast<std::byte*>(pool_.take(static_cast<std::size_t>(layer_bytes_ * shape_.layers)));
    std::vector<std::int32_t> tables, blocks(static_cast<std::size_t>(blocks_));
    std::iota(blocks.begin(), blocks.end(), 0);
    for (std::int64_t i = 0; i < sequences_; ++i) {
      tables.push_back(static_cast<std::int32_t>(i * each));
    }
    map_ = {pool_.place(std::vector<std::int32_t>(tables.size(),
                                                  static_cast<std::int32_t>(positions_ - 1))),
            pool_.place(tables), pool_.place(blocks)};
  }

  CacheLayer cache_of(std::size_t layer) const {
    return {cache_ + static_cast<std::int64_t>(layer) * layer_bytes_,
            CacheType::kBF16,
            blocks_,
            kBlockTokens,
            static_cast<int>(shape_.kv_heads),
            static_cast<int>(shape_.head_dim),
            static_cast<int>(shape_.head_dim)};
  }

  const Subject& subject_;
  const ModelShape& shape_;
  std::int64_t sequences_, positions_;
  Pool pool_;
  std::vector<LayerWeights> layers_;
  DeviceMatrix head_, embedding_;
  double weight_bytes_ = 0.0;
  float *norm_, *freq_, *x_, *qkv_, *mixed_, *gate_up_, *active_, *logits_, *partial_;
  float *normed_, *partial_sums_;
  std::uint16_t* planes_;
  std::int32_t* ids_;
  std::byte* cache_;
  std::int64_t blocks_ = 0, layer_bytes_ = 0;
  RowMap map_{};
};

Timing bench_model(const Subject& subject, const ModelShape& shape, DType type,
                   std::int64_t sequences, std::int64_t positions) {
  Timing timing{std::string("step ") + shape.name + " " + std::string(dtype_info(type).name) +
                    " batch " + std::to_string(sequences) + " at " + std::to_string(positions),
                0,
                0,
                static_cast<double>(sequences),
                0,
                ""};
  const Decoder decoder(subject, shape, type, sequences, positions);
  if (!decoder.fits()) {
    timing.problem = "not enough memory";
    return timing;
  }
  timing.bytes = decoder.bytes();
  decoder.step();
  subject.driver.wait(subject.stream);
  subject.driver.begin_capture(subject.stream);
  decoder.step();
  const Graph graph = subject.driver.end_capture(subject.stream);
  if (graph == nullptr) {
    timing.problem = "the step can not be captured";
    return timing;
  }
  timing.microseconds = median_microseconds(subject, subject.large ? 20 : 1,
                                            [&] { subject.driver.replay(graph, subject.stream); });
  subject.driver.free_graph(graph);
  return timing;
}

}  // namespace

std::vector<Timing> bench_decode(const Subject& subject) {
  if (!subject.large) return {bench_model(subject, kTiny, DType::kBF16, 2, 70)};
  std::vector<Timing> timings;
  for (const ModelShape& shape : kModels) {
    for (const DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4K}) {
      timings.push_back(bench_model(subject, shape, type, 1, 1024));
    }
  }
  for (const std::int64_t sequences : {2, 4, 8, 16, 32, 64, 128, 256}) {
    timings.push_back(bench_model(subject, kModels[2], DType::kBF16, sequences, 1024));
  }
  return timings;
}

}  // namespace bundle::kernels::cuda
