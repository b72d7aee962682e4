#include "runtime/model/transformer.h"

namespace bundle::model {

using kernels::Tensor;

Transformer::Transformer(TransformerParts parts, kernels::Device& device)
    : parts_(std::move(parts)),
      device_(device),
      lasting_(device.make_arena()),
      scratch_(device.make_arena()) {}

kernels::KvShape Transformer::kv_shape(DType type, std::int64_t block_tokens) const {
  const format::ModelConfig& config = parts_.config;
  return {config.num_layers, config.num_kv_heads, config.head_dim, block_tokens, type};
}

void Transformer::lay_out(std::span<const SequenceChunk> chunks) {
  ids_.clear();
  slices_.clear();
  kept_rows_.clear();
  kept_slices_.clear();
  for (const SequenceChunk& chunk : chunks) {
    const auto first = static_cast<std::int64_t>(ids_.size());
    const auto rows = static_cast<std::int64_t>(chunk.tokens.size());
    ids_.insert(ids_.end(), chunk.tokens.begin(), chunk.tokens.end());
    slices_.push_back({first, rows, chunk.position, chunk.blocks.data()});
    if (chunk.logits == 0) continue;
    const std::int64_t skipped = rows - chunk.logits;
    kept_slices_.push_back({static_cast<std::int64_t>(kept_rows_.size()), chunk.logits,
                            chunk.position + skipped, chunk.blocks.data()});
    for (std::int64_t row = skipped; row < rows; ++row) kept_rows_.push_back(first + row);
  }
}

Tensor Transformer::run_layers(kernels::KvCache& cache) {
  const Step step{device_, cache, *lasting_, *scratch_, slices_};
  const KeptRows kept{kept_rows_, kept_slices_};
  Tensor x = take(*lasting_, static_cast<std::int64_t>(ids_.size()), parts_.config.hidden_size);
  device_.embed(*parts_.embedding.weight, ids_, x);
  for (const DecoderLayer& layer : parts_.layers) {
    const bool narrows = &layer == &parts_.layers.back() && kept_rows_.size() != ids_.size();
    x = layer.attention->forward(step, x, narrows ? &kept : nullptr);
    scratch_->reset();
    if (x.rows > 0) layer.feed_forward->forward(step, x);
    scratch_->reset();
  }
  return x;
}

void Transformer::forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
                          std::vector<float>& logits) {
  lay_out(chunks);
  logits.resize(kept_rows_.size() * static_cast<std::size_t>(parts_.config.vocab_size));
  if (ids_.empty()) return;
  const Tensor x = run_layers(cache);
  if (x.rows > 0) {
    const kernels::Matrix& output =
        parts_.output.weight ? *parts_.output.weight : *parts_.embedding.weight;
    const Tensor scores = take(*scratch_, x.rows, output.rows());
    device_.norm_matmul(x, {parts_.norm.data(), x.cols},
                        static_cast<float>(parts_.config.rms_norm_eps), output,
                        parts_.output.bias_data(), scores);
    device_.read(scores, logits.data());
    scratch_->reset();
  }
  lasting_->reset();
}

}  // namespace bundle::model
