// The tensors of a published checkpoint, from its configuration. Names and shapes are those of
// transformers' modeling files and of DeepSeek-V3's README_WEIGHTS.
#include <algorithm>
#include <cmath>

#include "runtime/sizing/weight_parts.h"

namespace bundle::sizing {
namespace {

using format::MlaConfig;
using format::ModelConfig;
using format::MoeConfig;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

bool has_experts(const ModelConfig& config, std::int64_t layer) {
  if (!config.moe || layer < config.moe->first_dense_layers) return false;
  const auto& dense = config.moe->dense_layers;
  return !std::binary_search(dense.begin(), dense.end(), layer);
}

/// Collects the parts of one model; products that leave 63 bits are remembered.
class Collector {
 public:
  explicit Collector(const ModelShape& shape) : shape_(shape), format_(shape.format) {}

  /// From here on, parts belong to this layer.
  void enter(std::int64_t layer, bool prediction) {
    layer_ = layer;
    prediction_ = prediction;
  }

  /// `copies` matrices [rows, columns] in the wide type.
  void wide(Role role, std::int64_t rows, std::int64_t columns = 1, std::int64_t copies = 1) {
    add(role, format_.wide, elements(rows, columns, copies), 8.0 * format_.wide_bytes);
  }

  void float32(Role role, std::int64_t count) { add(role, "F32", elements(count, 1, 1), 32); }

  /// The embedding and the output matrix: wide, but where the format covers everything.
  void outer(Role role, std::int64_t rows, std::int64_t columns) {
    if (format_.coverage == Coverage::kEverything) {
      add(role, format_.type, elements(rows, columns, 1), format_.bits);
    } else {
      wide(role, rows, columns);
    }
  }

  /// `copies` matrices [rows, columns] of a linear layer, with their scales.
  void linear(Role role, std::int64_t rows, std::int64_t columns, std::int64_t copies = 1) {
    if (!covered(role)) return wide(role, rows, columns, copies);
    add(role, format_.type, elements(rows, columns, copies), format_.bits);
    if (format_.scale_rows == 0) return;
    const std::int64_t width = format_.scale_columns == 0 ? columns : format_.scale_columns;
    add(role, format_.scale_type,
        elements(ceil_div(rows, format_.scale_rows), ceil_div(columns, width), copies),
        format_.scale_bits);
  }

  Result<std::vector<WeightPart>> take() {
    if (overflow_) return bad_input("the model's sizes multiply beyond any memory");
    return std::move(parts_);
  }

 private:
  bool covered(Role role) const {
    switch (format_.coverage) {
      case Coverage::kNothing:
        return false;
      case Coverage::kLinears:
      case Coverage::kEverything:
        return true;
      case Coverage::kRoutedExperts:
        return role == Role::kExpert;
      case Coverage::kInnerMlps:
        return role == Role::kMlp && layer_ > 0 && layer_ + 1 < shape_.config.num_layers;
    }
    return false;
  }

  std::uint64_t elements(std::int64_t rows, std::int64_t columns, std::int64_t copies) {
    std::int64_t product = 0;
    overflow_ |= __builtin_mul_overflow(rows, columns, &product);
    overflow_ |= __builtin_mul_overflow(product, copies, &product);
    overflow_ |= product > std::int64_t{1} << 58;  // its bytes must fit too
    return overflow_ ? 0 : static_cast<std::uint64_t>(product);
  }

  void add(Role role, std::string_view type, std::uint64_t count, double bits) {
    const auto bytes = static_cast<std::uint64_t>(std::ceil(static_cast<double>(count) * bits / 8));
    // Parts of this layer are the last ones.
    for (auto part = parts_.rbegin(); part != parts_.rend() && part->layer == layer_; ++part) {
      if (part->role != role || part->type != type) continue;
      part->elements += count;
      part->bytes += bytes;
      return;
    }
    parts_.push_back({role, layer_, prediction_, type, count, bytes});
  }

  const ModelShape& shape_;
  const WeightFormat& format_;
  std::int64_t layer_ = -1;
  bool prediction_ = false;
  bool overflow_ = false;
  std::vector<WeightPart> parts_;
};

void grouped_attention(Collector& out, const ModelConfig& config) {
  const std::int64_t q = config.num_heads * config.head_dim;
  const std::int64_t kv = config.num_kv_heads * config.head_dim;
  out.linear(Role::kQuery, q, config.hidden_size);
  out.linear(Role::kKeyValue, kv, config.hidden_size, 2);
  out.linear(Role::kAttentionOutput, config.hidden_size, q);
  if (config.attention_bias) {
    out.wide(Role::kQuery, q);
    out.wide(Role::kKeyValue, 2 * kv);
    // Qwen2's output projection has none.
    if (config.architecture != "Qwen2ForCausalLM") {
      out.wide(Role::kAttentionOutput, config.hidden_size);
    }
  }
  if (config.qk_norm) out.wide(Role::kNorm, 2 * config.head_dim);
}

void indexer(Collector& out, const ModelShape& shape) {
  const IndexerShape& indexer = shape.indexer;
  if (indexer.heads == 0) return;
  const std::int64_t hidden = shape.config.hidden_size;
  out.wide(Role::kLatentDown, indexer.heads * indexer.head_dim, shape.config.mla->q_lora_rank);
  out.wide(Role::kLatentDown, indexer.head_dim, hidden);
  out.wide(Role::kLatentDown, 2 * indexer.head_dim);  // its key's LayerNorm
  out.wide(Role::kLatentDown, indexer.heads, hidden);
}

void latent_attention(Collector& out, const ModelShape& shape) {
  const ModelConfig& config = shape.config;
  const MlaConfig& mla = *config.mla;
  const std::int64_t q = config.num_heads * config.head_dim;
  if (mla.q_lora_rank == 0) {
    out.linear(Role::kQuery, q, config.hidden_size);
  } else {
    out.linear(Role::kLatentDown, mla.q_lora_rank, config.hidden_size);
    out.wide(Role::kNorm, mla.q_lora_rank);
    out.linear(Role::kLatentUp, q, mla.q_lora_rank);
  }
  out.linear(Role::kLatentDown, mla.kv_lora_rank + mla.qk_rope_head_dim, config.hidden_size);
  out.wide(Role::kNorm, mla.kv_lora_rank);
  out.linear(Role::kLatentUp, config.num_heads * (mla.qk_nope_head_dim + mla.v_head_dim),
             mla.kv_lora_rank);
  out.linear(Role::kAttentionOutput, config.hidden_size, config.num_heads * mla.v_head_dim);
  indexer(out, shape);
}

/// Gate, up and down of `copies` blocks.
void feed_forward(Collector& out, Role role, const ModelConfig& config, std::int64_t width,
                  std::int64_t copies) {
  out.linear(role, width, config.hidden_size, 2 * copies);
  out.linear(role, config.hidden_size, width, copies);
}

void experts(Collector& out, const ModelConfig& config) {
  const MoeConfig& moe = *config.moe;
  out.wide(Role::kRouter, moe.num_experts, config.hidden_size);
  if (moe.topk_method == "noaux_tc") out.float32(Role::kRouter, moe.num_experts);
  if (moe.num_shared_experts > 0) {
    feed_forward(out, Role::kSharedExpert, config, moe.num_shared_experts * moe.intermediate_size,
                 1);
  }
  feed_forward(out, Role::kExpert, config, moe.intermediate_size, moe.num_experts);
}

void layer(Collector& out, const ModelShape& shape, std::int64_t index) {
  const ModelConfig& config = shape.config;
  out.wide(Role::kNorm, 2 * config.hidden_size);
  if (config.mla) {
    latent_attention(out, shape);
  } else {
    grouped_attention(out, config);
  }
  if (has_experts(config, index)) {
    experts(out, config);
  } else {
    feed_forward(out, Role::kMlp, config, config.intermediate_size, 1);
  }
}

/// A whole layer, two norms and a matrix that join it to the last hidden state, and copies of the
/// embedding and the output matrix.
void prediction_layer(Collector& out, const ModelShape& shape) {
  const std::int64_t hidden = shape.config.hidden_size;
  layer(out, shape, shape.config.num_layers);
  out.wide(Role::kNorm, 3 * hidden);
  out.wide(Role::kMlp, hidden, 2 * hidden);
  out.outer(Role::kEmbedding, shape.config.vocab_size, hidden);
  out.outer(Role::kHead, shape.config.vocab_size, hidden);
}

}  // namespace

Result<std::vector<WeightPart>> predicted_parts(const ModelShape& shape) {
  const ModelConfig& config = shape.config;
  Collector out(shape);
  out.outer(Role::kEmbedding, config.vocab_size, config.hidden_size);
  if (!config.tied_embeddings) out.outer(Role::kHead, config.vocab_size, config.hidden_size);
  out.wide(Role::kNorm, config.hidden_size);
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    out.enter(i, false);
    layer(out, shape, i);
  }
  for (std::int64_t i = 0; i < config.num_mtp_layers; ++i) {
    out.enter(config.num_layers + i, true);
    prediction_layer(out, shape);
  }
  return out.take();
}

}  // namespace bundle::sizing
