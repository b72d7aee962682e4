// Embedding, decoder layers, final norm and output matrix: what all architectures here share.
#pragma once

#include <memory>
#include <vector>

#include "runtime/model/draft_layer.h"
#include "runtime/model/layer.h"
#include "runtime/model/model.h"
#include "runtime/model/rope.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// The parts of a model, loaded and of matching shapes.
struct TransformerParts {
  format::ModelConfig config;
  std::unique_ptr<Rope> rope;  // layers refer to it
  Linear embedding;
  std::vector<DecoderLayer> layers;
  kernels::DeviceVector norm;
  Linear output;                      // without a weight: tied to the embedding
  std::unique_ptr<DraftLayer> draft;  // null: the checkpoint has none
  std::uint64_t resident_bytes = 0;
};

class Transformer final : public Model {
 public:
  /// The device must outlive the model.
  Transformer(TransformerParts parts, kernels::Device& device);

  const format::ModelConfig& config() const override { return parts_.config; }
  kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const override;
  std::int64_t prompt_positions(std::int64_t prompt) const override;
  void forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
               std::vector<float>& logits) override;
  bool can_draft() const override { return parts_.draft != nullptr; }
  void set_drafting(bool on) override { drafting_ = on && can_draft(); }
  void draft(std::span<const DraftChunk> chunks, kernels::KvCache& cache,
             std::vector<float>& logits) override;
  std::uint64_t resident_bytes() const override { return parts_.resident_bytes; }

 private:
  void add_slices(const SequenceChunk& chunk, std::int64_t skipped, std::int64_t first_row,
                  std::vector<kernels::Slice>& slices) const;
  void lay_out(std::span<const SequenceChunk> chunks);
  kernels::Tensor run_layers(kernels::KvCache& cache);
  void compute(kernels::KvCache& cache, kernels::Tensor scores);
  kernels::Vector norm() const;
  float eps() const { return static_cast<float>(parts_.config.rms_norm_eps); }
  const kernels::Matrix& output() const;

  TransformerParts parts_;
  kernels::Device& device_;
  std::unique_ptr<kernels::Arena> lasting_;
  std::unique_ptr<kernels::Arena> scratch_;
  std::unique_ptr<kernels::Arena> kept_;
  bool drafting_ = false;
  kernels::Tensor hidden_;  // of the last step, behind the last norm; while drafting, in kept_

  // Of the current step; members so that their memory is taken once.
  std::vector<std::int32_t> ids_;
  std::vector<kernels::Slice> slices_;
  std::vector<std::int64_t> kept_rows_;
  std::vector<kernels::Slice> kept_slices_;
};

}  // namespace bundle::model
