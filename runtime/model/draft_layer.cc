#include "runtime/model/draft_layer.h"

namespace bundle::model {
namespace {

using kernels::Tensor;

kernels::Vector view(const kernels::DeviceVector& values) { return {values.data(), values.size()}; }

/// A matrix of the layer's own; none where the main model's is the same.
Result<Linear> load_unless_shared(WeightLoader& weights, const std::string& own,
                                  const std::string& shared, const LinearPart& part,
                                  std::int64_t cols) {
  BUNDLE_TRY(const bool same,
             weights.same_or_absent(own + ".weight", shared + ".weight", part.take));
  if (same) return Linear{};
  return weights.linear(part, cols);
}

}  // namespace

Result<std::unique_ptr<DraftLayer>> DraftLayer::load(WeightLoader& weights,
                                                     const format::ModelConfig& config,
                                                     const std::string& prefix, const Part& own,
                                                     DecoderLayer decoder) {
  auto draft = std::make_unique<DraftLayer>();
  const std::int64_t hidden = config.hidden_size;
  draft->eps_ = static_cast<float>(config.rms_norm_eps);
  draft->decoder_ = std::move(decoder);
  BUNDLE_TRY(draft->token_norm_, weights.device_vector(prefix + "enorm.weight", hidden));
  BUNDLE_TRY(draft->hidden_norm_, weights.device_vector(prefix + "hnorm.weight", hidden));
  BUNDLE_TRY(draft->head_norm_, weights.device_vector(prefix + "shared_head.norm.weight", hidden));
  BUNDLE_TRY(draft->join_, weights.linear({prefix + "eh_proj", hidden}, 2 * hidden));
  const std::string embedding = prefix + "embed_tokens", head = prefix + "shared_head.head";
  const std::string main_head = config.tied_embeddings ? "model.embed_tokens" : "lm_head";
  BUNDLE_TRY(draft->embedding_, load_unless_shared(weights, embedding, "model.embed_tokens",
                                                   {embedding, config.vocab_size, own}, hidden));
  BUNDLE_TRY(draft->head_,
             load_unless_shared(weights, head, main_head, {head, config.vocab_size, own}, hidden));
  return draft;
}

Tensor DraftLayer::forward(const Step& step, const StepRows& rows, const Vocabulary& vocabulary,
                           const kernels::Matrix* main_embedding, Tensor hidden,
                           std::span<const std::int64_t> blank, comm::Communicator* groups) const {
  const Tensor embedded = take(step.scratch, rows.size(), hidden.cols);
  const Tensor joined = take(step.scratch, rows.size(), 2 * hidden.cols);
  Tensor x = take(step.lasting, rows.size(), hidden.cols);
  vocabulary.embed(step.device, embedding_.weight ? *embedding_.weight : *main_embedding,
                   rows.ids(), embedded);
  step.device.join_norms(embedded, view(token_norm_), hidden, view(hidden_norm_), eps_, blank,
                         joined);
  step.device.matmul(*join_.weight, joined, nullptr, false, x);
  step.scratch.reset();
  x = rows.attend(*decoder_.attention, step, x, true, groups);
  step.scratch.reset();
  if (x.rows > 0) decoder_.feed_forward->forward(step, x);
  step.scratch.reset();
  return x;
}

void DraftLayer::score(const Step& step, Tensor x, const kernels::Matrix& main_head,
                       Tensor logits) const {
  step.device.norm_matmul(x, view(head_norm_), eps_, head_.weight ? *head_.weight : main_head,
                          nullptr, logits);
}

}  // namespace bundle::model
