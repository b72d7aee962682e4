// Embedding, decoder layers, final norm and output matrix: what all architectures here share.
#pragma once

#include <memory>
#include <vector>

#include "runtime/model/draft_layer.h"
#include "runtime/model/layer.h"
#include "runtime/model/model.h"
#include "runtime/model/rope.h"
#include "runtime/model/step_rows.h"
#include "runtime/model/team.h"
#include "runtime/model/vocabulary.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// The parts of a model, or of this rank's share of one, loaded and of matching shapes.
struct TransformerParts {
  format::ModelConfig config;
  const Team* team = nullptr;  // null: this rank alone
  std::unique_ptr<Rope> rope;  // layers refer to it
  Linear embedding;            // of the first stage, and of others that need it
  std::vector<DecoderLayer> layers;
  kernels::DeviceVector norm;         // of the last stage, as all below
  Linear output;                      // without a weight: tied to the embedding
  std::unique_ptr<DraftLayer> draft;  // null: there is none, or not here
  bool drafts = false;                // the last stage has one
  std::uint64_t resident_bytes = 0;
  std::uint64_t weight_bytes = 0;
};

class Transformer final : public Model {
 public:
  /// The device must outlive the model.
  Transformer(TransformerParts parts, kernels::Device& device);

  const format::ModelConfig& config() const override { return parts_.config; }
  kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const override;
  std::int64_t prompt_positions(std::int64_t prompt) const override;
  std::int64_t cache_groups() const override { return placement_.parallel.data; }
  void forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
               std::vector<float>& logits) override;
  /// Ranks hand on logits alone.
  bool gives_states() const override { return parts_.team == nullptr; }
  std::span<const float> states() const override { return states_; }
  bool gives_choices() const override { return device_.chooses(vocabulary_.size()); }
  std::span<const std::int32_t> choices() const override { return chosen_; }
  bool can_draft() const override { return parts_.drafts; }
  void set_drafting(bool on) override { drafting_ = on && can_draft(); }
  void draft(std::span<const DraftChunk> chunks, kernels::KvCache& cache,
             std::vector<float>& logits) override;
  Status health() const override;
  std::uint64_t resident_bytes() const override { return parts_.resident_bytes; }
  std::uint64_t weight_bytes() const override { return parts_.weight_bytes; }

 private:
  void enter(kernels::Tensor x) const;
  kernels::Tensor run_layers(kernels::KvCache& cache);
  kernels::Tensor gather(kernels::Tensor x, std::span<const std::int64_t> rows);
  kernels::Tensor take_states(kernels::Tensor x);
  void pass_on(kernels::Tensor x) const;
  kernels::Tensor finish(kernels::Tensor x);
  void make_hidden(std::int64_t rows);
  kernels::Tensor keep_hidden(kernels::Tensor x, std::span<const std::int64_t> kept);
  void score(kernels::Tensor x, kernels::Tensor scores);
  void want(std::int64_t row, const kernels::TokenChoice* choice);
  void add_rows(const SequenceChunk& chunk);
  void hand_out(kernels::Tensor scores, std::int64_t rows, std::vector<float>& logits);
  bool repeats() const;
  kernels::Tensor run_whole(kernels::KvCache& cache);
  kernels::Tensor draft_scores(std::span<const std::int64_t> rows,
                               std::span<const std::int64_t> blank, kernels::KvCache& cache);
  comm::Communicator* groups() const;
  kernels::Vector norm() const;
  float eps() const { return static_cast<float>(parts_.config.rms_norm_eps); }
  const kernels::Matrix& output() const;

  TransformerParts parts_;
  kernels::Device& device_;
  Placement placement_;
  Vocabulary vocabulary_;
  std::unique_ptr<kernels::Arena> lasting_;
  std::unique_ptr<kernels::Arena> scratch_;
  std::unique_ptr<kernels::Arena> kept_;
  bool drafting_ = false;
  kernels::Tensor hidden_;  // of the last step, behind the last norm; while drafting, in kept_

  // Of the current step; members so that their memory is taken once.
  StepRows rows_;
  std::vector<std::int64_t> logit_rows_;  // of the kept ones
  std::vector<std::int64_t> state_rows_;
  std::vector<float> states_;
  std::vector<kernels::TokenChoice> choices_;
  std::vector<std::int64_t> read_rows_;  // of the scores: those without a choice
  std::vector<std::int32_t> chosen_;
};

}  // namespace bundle::model
