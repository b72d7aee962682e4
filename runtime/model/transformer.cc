#include "runtime/model/transformer.h"

#include <algorithm>

namespace bundle::model {

using kernels::Tensor;

Transformer::Transformer(TransformerParts parts, kernels::Device& device)
    : parts_(std::move(parts)),
      device_(device),
      lasting_(device.make_arena()),
      scratch_(device.make_arena()),
      kept_(device.make_arena()) {}

kernels::KvShape Transformer::kv_shape(DType type, std::int64_t block_tokens) const {
  const format::ModelConfig& config = parts_.config;
  const std::int64_t layers = config.num_layers + (drafting_ ? 1 : 0);
  if (!config.mla) {
    return {layers, config.num_kv_heads, config.head_dim, block_tokens, type, 0};
  }
  const std::int64_t rank = config.mla->kv_lora_rank;
  return {layers, 1, rank + config.mla->qk_rope_head_dim, block_tokens, type, rank};
}

std::int64_t Transformer::prompt_positions(std::int64_t prompt) const {
  return parts_.config.mla ? prompt / kPromptTile * kPromptTile : 0;
}

/// The chunk's rows but the first `skipped`, which become rows first_row … of a batch; cut where
/// the form of attention changes.
void Transformer::add_slices(const SequenceChunk& chunk, std::int64_t skipped,
                             std::int64_t first_row, std::vector<kernels::Slice>& slices) const {
  const std::int64_t begin = chunk.position + skipped;
  const std::int64_t end = chunk.position + static_cast<std::int64_t>(chunk.tokens.size());
  const std::int64_t border = std::clamp(prompt_positions(chunk.prompt), begin, end);
  const auto add = [&](std::int64_t from, std::int64_t to, bool expanded) {
    if (from == to) return;
    slices.push_back({first_row + from - begin, to - from, from, chunk.blocks.data(), expanded});
  };
  add(begin, border, true);
  add(border, end, false);
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
    add_slices(chunk, 0, first, slices_);
    const std::int64_t skipped = rows - chunk.logits;
    add_slices(chunk, skipped, static_cast<std::int64_t>(kept_rows_.size()), kept_slices_);
    for (std::int64_t row = skipped; row < rows; ++row) kept_rows_.push_back(first + row);
  }
}

Tensor Transformer::run_layers(kernels::KvCache& cache) {
  const Step step{device_, cache, *lasting_, *scratch_, slices_};
  const KeptRows kept{kept_rows_, kept_slices_};
  Tensor x = take(*lasting_, static_cast<std::int64_t>(ids_.size()), parts_.config.hidden_size);
  device_.embed(*parts_.embedding.weight, ids_, x);
  for (const DecoderLayer& layer : parts_.layers) {
    const bool last = &layer == &parts_.layers.back();
    const bool narrows = last && !drafting_ && kept_rows_.size() != ids_.size();
    x = layer.attention->forward(step, x, narrows ? &kept : nullptr);
    scratch_->reset();
    if (x.rows > 0) layer.feed_forward->forward(step, x);
    scratch_->reset();
  }
  return x;
}

kernels::Vector Transformer::norm() const { return {parts_.norm.data(), parts_.norm.size()}; }

const kernels::Matrix& Transformer::output() const {
  return parts_.output.weight ? *parts_.output.weight : *parts_.embedding.weight;
}

/// All of a step; scores (kept rows, vocab) are the logits.
void Transformer::compute(kernels::KvCache& cache, Tensor scores) {
  Tensor x = run_layers(cache);
  if (drafting_) {
    device_.rms_norm(x, norm(), eps(), hidden_);
    if (kept_rows_.size() != ids_.size()) {
      const Tensor asked = take(*lasting_, scores.rows, x.cols);
      device_.gather_rows(x, kept_rows_, asked);
      x = asked;
    }
  }
  if (x.rows > 0) {
    device_.norm_matmul(x, norm(), eps(), output(), parts_.output.bias_data(), scores);
  }
  scratch_->reset();
}

void Transformer::forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
                          std::vector<float>& logits) {
  lay_out(chunks);
  logits.resize(kept_rows_.size() * static_cast<std::size_t>(parts_.config.vocab_size));
  if (ids_.empty()) return;
  // What lies where is the same in every step of one shape, whether it is run or replayed.
  if (drafting_) {
    kept_->reset();
    hidden_ = take(*kept_, static_cast<std::int64_t>(ids_.size()), parts_.config.hidden_size);
  }
  const Tensor scores =
      take(*lasting_, static_cast<std::int64_t>(kept_rows_.size()), output().rows());
  device_.run_step({ids_, slices_, kept_rows_, kept_slices_, &cache},
                   [&] { compute(cache, scores); });
  if (scores.rows > 0) device_.read(scores, logits.data());
  lasting_->reset();
}

void Transformer::draft(std::span<const DraftChunk> chunks, kernels::KvCache& cache,
                        std::vector<float>& logits) {
  if (!drafting_) return;
  ids_.clear();
  slices_.clear();
  kept_rows_.clear();
  kept_slices_.clear();
  std::vector<std::int64_t> rows, blank;
  for (const DraftChunk& chunk : chunks) {
    const auto first = static_cast<std::int64_t>(ids_.size());
    const auto count = static_cast<std::int64_t>(chunk.following.size());
    ids_.insert(ids_.end(), chunk.following.begin(), chunk.following.end());
    for (std::int64_t i = 0; i < count; ++i) rows.push_back(chunk.first_row + i);
    if (chunk.position == 0 && count > 0) blank.push_back(first);
    const SequenceChunk part{chunk.following, chunk.position, chunk.blocks, 0, chunk.prompt};
    add_slices(part, 0, first, slices_);
    if (!chunk.logits || count == 0) continue;
    add_slices(part, count - 1, static_cast<std::int64_t>(kept_rows_.size()), kept_slices_);
    kept_rows_.push_back(first + count - 1);
  }
  logits.resize(kept_rows_.size() * static_cast<std::size_t>(parts_.config.vocab_size));
  if (ids_.empty()) return;
  const Step step{device_, cache, *lasting_, *scratch_, slices_};
  const Tensor hidden = take(*lasting_, static_cast<std::int64_t>(ids_.size()), hidden_.cols);
  device_.gather_rows(hidden_, rows, hidden);
  const kernels::Matrix* embedding = parts_.embedding.weight.get();
  const Tensor x =
      parts_.draft->forward(step, *embedding, ids_, hidden, blank, {kept_rows_, kept_slices_});
  if (x.rows > 0) {
    const Tensor scores = take(*scratch_, x.rows, output().rows());
    parts_.draft->score(step, x, output(), scores);
    device_.read(scores, logits.data());
    scratch_->reset();
  }
  lasting_->reset();
}

}  // namespace bundle::model
