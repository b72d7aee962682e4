// DeepSeek-V3's layer for multi-token prediction (arXiv 2412.19437, section 2.2), as a draft: from
// the hidden state h of a position and the token that follows it, a guess at the one after that.
//
//   x = eh_proj [enorm(embed(token)), hnorm(h)]     h after the main model's last norm
//   one decoder layer, with keys and values of its own
//   head(shared_head.norm(x))
//
// Embedding and head are published once more; where their bytes are the main model's, or where they
// are absent, the main model's are used. The token of position 0 counts as zero: training never saw
// a token there.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/step_rows.h"
#include "runtime/model/vocabulary.h"
#include "runtime/model/weights.h"

namespace bundle::model {

class DraftLayer {
 public:
  /// `decoder` is the layer's own attention and feed-forward half, whose tensors' names begin with
  /// `prefix`; of embedding and head the rows of `own` are loaded.
  static Result<std::unique_ptr<DraftLayer>> load(WeightLoader& weights,
                                                  const format::ModelConfig& config,
                                                  const std::string& prefix, const Part& own,
                                                  DecoderLayer decoder);

  /// Runs the layer over rows: `hidden` (n, hidden), and their tokens, which are those that follow;
  /// the tokens of rows in `blank` count as zero. Gives the kept rows' states, in step.lasting.
  /// `groups` as StepRows::attend.
  kernels::Tensor forward(const Step& step, const StepRows& rows, const Vocabulary& vocabulary,
                          const kernels::Matrix* main_embedding, kernels::Tensor hidden,
                          std::span<const std::int64_t> blank, comm::Communicator* groups) const;

  /// Logits (n, this rank's rows of the vocabulary) of the states.
  void score(const Step& step, kernels::Tensor x, const kernels::Matrix& main_head,
             kernels::Tensor logits) const;

 private:
  float eps_ = 0.0f;
  kernels::DeviceVector token_norm_, hidden_norm_, head_norm_;
  Linear join_;
  Linear embedding_, head_;  // without weights: the main model's
  DecoderLayer decoder_;
};

}  // namespace bundle::model
