#include "cli/here_probe.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>

#include "cli/median_time.h"
#include "cli/memory_bandwidth.h"
#include "runtime/kernels/cpu_device.h"

namespace bundle::cli {
namespace {

using kernels::Device;
using kernels::Matrix;

constexpr std::uint64_t kMostBytes = 512u << 20;
constexpr std::int64_t kBlockTokens = 16;
constexpr std::int64_t kMostPrompt = 1024;  // tokens that are really computed; more are scaled
constexpr float kEps = 1e-5F;

/// Weights of one published matrix. Bytes of 0x11 are small normal numbers in every type, and
/// really take memory (zeros might all be one page).
struct MadeUp {
  std::vector<std::byte> bytes;
  kernels::WeightView view;
};

Result<MadeUp> made_up(DType type, std::int64_t rows, std::int64_t cols) {
  const auto size = storage_bytes(type, rows * cols);
  if (!size) return bad_input("a matrix does not fill whole blocks of its type");
  MadeUp weights;
  weights.bytes.assign(*size, std::byte{0x11});
  weights.view = {type, Bytes(weights.bytes), rows, cols};
  return weights;
}

struct Layer {
  std::unique_ptr<Matrix> qkv, out, gate_up, down;
};

class Probe {
 public:
  Probe(const format::ModelConfig& config, Device& device, const HereQuestion& question)
      : config_(config), device_(device), question_(question) {
    shape_ = {config.num_heads, config.num_kv_heads, config.head_dim,
              1.0F / std::sqrt(static_cast<float>(config.head_dim)), config.sliding_window};
    norm_.assign(static_cast<std::size_t>(config.hidden_size), 1.0F);
    frequencies_.assign(static_cast<std::size_t>(config.head_dim / 2), 0.01F);
  }

  Status prepare() {
    const std::int64_t count = layers_to_measure();
    for (std::int64_t i = 0; i < count; ++i) {
      BUNDLE_TRY(Layer layer, make_layer());
      layers_.push_back(std::move(layer));
    }
    BUNDLE_TRY(head_, pack({config_.vocab_size}, config_.hidden_size));
    const std::int64_t positions = std::max(context(), prompt()) + kBlockTokens;
    const std::int64_t blocks = positions / kBlockTokens + 1;
    kernels::KvShape kv{count, config_.num_kv_heads, config_.head_dim, kBlockTokens, DType::kF16};
    BUNDLE_TRY(cache_, device_.make_kv_cache(kv, blocks));
    for (std::int64_t i = 0; i < blocks; ++i) table_.push_back(static_cast<std::int32_t>(i));
    arena_ = device_.make_arena();
    return {};
  }

  /// Seconds of one step of one sequence, over all layers.
  double decode() {
    const kernels::Slice slice{0, 1, context() - 1, table_.data()};
    return median_time([&] { run(1, slice); }) * scale() + head_time(1);
  }

  /// Seconds of a prompt.
  double prefill() {
    const kernels::Slice slice{0, prompt(), 0, table_.data()};
    const double time = median_time([&] { run(prompt(), slice); }) * scale() + head_time(1);
    return time * static_cast<double>(question_.input_tokens) / static_cast<double>(prompt());
  }

  std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }

 private:
  std::int64_t context() const { return question_.input_tokens + question_.output_tokens / 2; }
  std::int64_t prompt() const { return std::min(question_.input_tokens, kMostPrompt); }
  double scale() const {
    return static_cast<double>(config_.num_layers) / static_cast<double>(layers_.size());
  }

  std::int64_t layers_to_measure() const {
    const std::int64_t q = config_.num_heads * config_.head_dim;
    const std::int64_t kv = config_.num_kv_heads * config_.head_dim;
    const std::int64_t elements =
        config_.hidden_size * (2 * q + 2 * kv + 3 * config_.intermediate_size);
    const auto each = static_cast<std::uint64_t>(elements) * 2;
    const auto most = static_cast<std::int64_t>(kMostBytes / std::max<std::uint64_t>(1, each));
    return std::clamp<std::int64_t>(most, 1, config_.num_layers);
  }

  /// Matrices of so many rows each, side by side.
  Result<std::unique_ptr<Matrix>> pack(const std::vector<std::int64_t>& parts, std::int64_t cols) {
    std::vector<kernels::WeightView> views;
    for (const std::int64_t rows : parts) {
      BUNDLE_TRY(MadeUp weights, made_up(question_.type, rows, cols));
      views.push_back(weights.view);
      weights_.push_back(std::move(weights));
    }
    BUNDLE_TRY(auto matrix, device_.pack(views));
    // What was copied is not kept twice.
    if (!matrix->uses_source()) weights_.resize(weights_.size() - parts.size());
    return matrix;
  }

  Result<Layer> make_layer() {
    const std::int64_t q = config_.num_heads * config_.head_dim;
    const std::int64_t kv = config_.num_kv_heads * config_.head_dim;
    const std::int64_t width = config_.intermediate_size;
    const std::int64_t hidden = config_.hidden_size;
    Layer layer;
    BUNDLE_TRY(layer.qkv, pack({q, kv, kv}, hidden));
    BUNDLE_TRY(layer.out, pack({hidden}, q));
    BUNDLE_TRY(layer.gate_up, pack({width, width}, hidden));
    BUNDLE_TRY(layer.down, pack({hidden}, width));
    return layer;
  }

  kernels::Tensor take(std::int64_t rows, std::int64_t cols) {
    return {arena_->take(static_cast<std::size_t>(rows * cols) * sizeof(float)), rows, cols};
  }

  /// The layers that were packed, as model/grouped_attention and model/dense_mlp run them.
  void run(std::int64_t rows, const kernels::Slice& slice) {
    arena_->reset();
    const std::int64_t heads = config_.num_heads * config_.head_dim;
    const kernels::Vector norm{norm_.data(), config_.hidden_size};
    kernels::Tensor x = take(rows, config_.hidden_size);
    std::fill_n(x.f32(), rows * config_.hidden_size, 0.5F);
    kernels::Tensor qkv = take(rows, heads + 2 * config_.num_kv_heads * config_.head_dim);
    kernels::Tensor attended = take(rows, heads);
    kernels::Tensor gate_up = take(rows, 2 * config_.intermediate_size);
    kernels::Tensor inner = take(rows, config_.intermediate_size);
    const kernels::RopeTable rope{frequencies_.data(), config_.head_dim, 1.0F, false};
    for (std::int64_t i = 0; i < layers(); ++i) {
      const Layer& layer = layers_[static_cast<std::size_t>(i)];
      device_.norm_matmul(x, norm, kEps, *layer.qkv, nullptr, qkv);
      device_.rope_and_store(qkv, shape_, rope, {}, {}, kEps, {&slice, 1}, *cache_, i);
      device_.attention(qkv, shape_, {&slice, 1}, *cache_, i, attended);
      device_.matmul(*layer.out, attended, nullptr, true, x);
      device_.norm_matmul(x, norm, kEps, *layer.gate_up, nullptr, gate_up);
      device_.silu_mul(gate_up, inner);
      device_.matmul(*layer.down, inner, nullptr, true, x);
    }
  }

  double head_time(std::int64_t rows) {
    arena_->reset();
    kernels::Tensor x = take(rows, config_.hidden_size);
    std::fill_n(x.f32(), rows * config_.hidden_size, 0.5F);
    kernels::Tensor logits = take(rows, config_.vocab_size);
    return median_time([&] { device_.matmul(*head_, x, nullptr, false, logits); });
  }

  const format::ModelConfig& config_;
  Device& device_;
  const HereQuestion& question_;
  kernels::AttentionShape shape_;
  std::vector<float> norm_;
  std::vector<float> frequencies_;
  std::vector<MadeUp> weights_;
  std::vector<Layer> layers_;
  std::unique_ptr<Matrix> head_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::unique_ptr<kernels::Arena> arena_;
  std::vector<std::int32_t> table_;
};

/// Bytes that one token reads: of weights, and the cache.
double bytes_a_token(const sizing::SizedModel& model, const HereQuestion& question) {
  const std::int64_t context = question.input_tokens + question.output_tokens / 2;
  return sizing::token_bytes(model.parts, model.shape.config) +
         static_cast<double>(sizing::rank_kv_bytes(model.shape, sizing::Layout{},
                                                   sizing::KvType{"f16", 2}, context));
}

}  // namespace

void finish_speed(const sizing::SizedModel& model, const HereQuestion& question, HereSpeed& speed) {
  speed.threads = question.threads > 0 ? question.threads
                                       : static_cast<int>(std::thread::hardware_concurrency());
  speed.prefill_tok_s = static_cast<double>(question.input_tokens) / speed.ttft;
  speed.bandwidth_gb_s = read_bandwidth_gb_s(speed.threads, 3);
  speed.decode_bound_tok_s = speed.bandwidth_gb_s * 1e9 / bytes_a_token(model, question);
}

Result<HereSpeed> measure_here(const sizing::SizedModel& model, const HereQuestion& question) {
  const format::ModelConfig& config = model.shape.config;
  if (config.moe || config.mla) {
    return Error{ErrorCode::kUsage,
                 "mixtures of experts and MLA are measured with their own weights only",
                 model.shape.name,
                 "Give a bundle, a folder or a .gguf, or ask without --here for the memory."};
  }
  BUNDLE_TRY(const auto device, kernels::make_cpu_device({question.threads, {}}));
  Probe probe(config, *device, question);
  BUNDLE_CHECK(probe.prepare());
  HereSpeed speed;
  speed.device = std::string(device->name());
  speed.layers_measured = probe.layers();
  speed.decode_tok_s = 1 / probe.decode();
  speed.ttft = probe.prefill();
  finish_speed(model, question, speed);
  return speed;
}

}  // namespace bundle::cli
