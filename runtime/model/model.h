// A decoder-only transformer over a device: loads weights, runs steps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/progress.h"
#include "runtime/format/checkpoint.h"
#include "runtime/format/model_config.h"
#include "runtime/kernels/device.h"

namespace bundle::model {

/// Latent attention (DeepSeek) has a form that is cheap for many rows and one for few, which round
/// differently. Which one computes a row must not depend on how a prompt was cut into steps, on its
/// neighbours, or on what lay in a prefix cache: whole tiles of this many positions of a prompt
/// take the first, all that follows the second.
inline constexpr std::int64_t kPromptTile = 256;

/// One sequence's share of a step: `tokens` at positions position … position + tokens.size() - 1,
/// whose keys and values go to `blocks`.
struct SequenceChunk {
  std::span<const std::int32_t> tokens;
  std::int64_t position = 0;
  std::span<const std::int32_t> blocks;
  /// Logits are made for the last `logits` tokens of the chunk (0: none, 1: the last only).
  std::int64_t logits = 0;
  /// Tokens of the sequence's prompt, of which these may be a part; what follows was generated.
  std::int64_t prompt = 0;
  /// Instead of those logits, the hidden states behind the last norm: states() has them.
  bool states = false;
  /// The ranks that have the sequence's cache, with data-parallel attention; ignored without.
  std::int64_t group = 0;
  /// Instead of those logits, a token from each: choices() has them. Empty, or one choice for each
  /// (which need not say its row).
  std::span<const kernels::TokenChoice> choices = {};
};

/// Rows of the last step for a draft layer: `following` are the tokens that come after the step's
/// rows first_row … first_row + following.size() - 1, which are of one sequence, from `position`.
struct DraftChunk {
  std::int64_t first_row = 0;  // of the step: all chunks' tokens one after the other
  std::span<const std::int32_t> following;
  std::int64_t position = 0;
  std::span<const std::int32_t> blocks;
  bool logits = false;  // of the last row
  std::int64_t prompt = 0;
  std::int64_t group = 0;
  /// Instead of those logits, a token from them: choices() has it. Null: none.
  const kernels::TokenChoice* choice = nullptr;
};

/// Weights on a device. Thread-compatible: one step at a time.
///
/// Where several ranks share a model, each has such an object for its part, and all of them make
/// the same calls; logits come out on the first rank, and stay empty on the others.
class Model {
 public:
  virtual ~Model() = default;

  virtual const format::ModelConfig& config() const = 0;
  virtual kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const = 0;

  /// Positions of a prompt of that size, from the first, that are computed as no generated token
  /// is: two sequences may share the cache of a position only if it lies on the same side in both.
  virtual std::int64_t prompt_positions(std::int64_t /*prompt*/) const { return 0; }

  /// Ranks may keep the caches of different sequences: a chunk's `group` is below this number.
  virtual std::int64_t cache_groups() const { return 1; }

  /// Runs one step over all chunks. `logits` receives (sum of chunk.logits, vocab_size) floats in
  /// chunk order, of the chunks that want neither states nor choices; it is resized.
  virtual void forward(std::span<const SequenceChunk> chunks, kernels::KvCache& cache,
                       std::vector<float>& logits) = 0;

  /// Whether chunks may ask for hidden states.
  virtual bool gives_states() const { return false; }
  /// Of the last forward(): (sum of chunk.logits, hidden_size) of the chunks that asked, in their
  /// order. Valid until the next.
  virtual std::span<const float> states() const { return {}; }

  /// Whether chunks may ask for tokens instead of logits.
  virtual bool gives_choices() const { return false; }
  /// Of the last forward() or draft(): a token for each choice of its chunks, in their order; -1
  /// where a logit was not finite. Valid until the next.
  virtual std::span<const std::int32_t> choices() const { return {}; }

  /// Whether a layer was loaded that predicts one token further (DeepSeek-V3's MTP).
  virtual bool can_draft() const { return false; }
  /// With drafts, every forward() keeps what draft() starts from, and kv_shape() has a layer more.
  /// Logits of forward() are the same, bit for bit. Call it before kv_shape(), if at all.
  virtual void set_drafting(bool /*on*/) {}
  /// Runs the draft layer over rows of the last forward(), writing its own keys and values.
  /// `logits` receives a row for each chunk that asks and has no choice: of the token after its
  /// last following one.
  virtual void draft(std::span<const DraftChunk> /*chunks*/, kernels::KvCache& /*cache*/,
                     std::vector<float>& /*logits*/) {}

  /// What must be known before the first step: the cache that all steps will run with. kFailed
  /// where another rank cannot make its own.
  virtual Status prepare(const kernels::KvCache& /*cache*/) { return {}; }
  /// Why this rank can compute no further: another one is gone, or said so. Logits of the step
  /// before mean nothing then.
  virtual Status health() const { return {}; }

  /// Private memory of the weights, in bytes (beside what stays mapped).
  virtual std::uint64_t resident_bytes() const = 0;
  /// Bytes of the checkpoint that this rank reads.
  virtual std::uint64_t weight_bytes() const { return 0; }
};

class Team;

struct LoadOptions {
  bool draft = false;  // the prediction layer too, where there is one
  /// Only the first layers, without the prediction layer, to measure speed. 0: all.
  std::int64_t layers = 0;
  /// The ranks that share the model; null: this one has all of it.
  const Team* team = nullptr;
};

/// Loads the model of a checkpoint onto a device, which must outlive it; so must the checkpoint
/// (its maps) and the team. Of a model that ranks share, only this one's part is read. kBadInput
/// names an unknown architecture, a missing tensor, or one whose shape is not what the
/// configuration says; kUsage what does not divide over the team.
Result<std::unique_ptr<Model>> load_model(const format::Checkpoint& checkpoint,
                                          kernels::Device& device, const Progress& progress = {},
                                          const LoadOptions& options = {});

}  // namespace bundle::model
