// The matrices between a latent and the heads' keys and values.
//
// Hugging Face and older GGUF files publish kv_b_proj (heads · (nope + value), rank): for each head
// the rows of its key, then those of its value. Newer GGUF files publish two tensors: attn_k_b
// (heads, rank, nope), turned as the absorbed form wants it, and attn_v_b (heads, value, rank).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/model/transposed.h"
#include "runtime/model/weights.h"

namespace bundle::model {

class LatentHeads {
 public:
  /// Which of the published heads a rank has: shape.heads of them from `first`.
  struct Published {
    std::int64_t first = 0;
    std::int64_t heads = 0;  // in all
  };

  /// Loads whichever of the two the checkpoint has, of the attention whose tensors' names begin
  /// with `self` ("model.layers.0.self_attn.").
  static Result<LatentHeads> load(WeightLoader& weights, const kernels::LatentShape& shape,
                                  const Published& published, const std::string& self);

  kernels::LatentWeights weights() const {
    return {key_up_.get(), value_up_.get(), key_absorb_.get()};
  }

 private:
  Status load_joint(WeightLoader& weights, const kernels::LatentShape& shape,
                    const Published& published, const std::string& self);
  Status load_split(WeightLoader& weights, const kernels::LatentShape& shape,
                    const Published& published, const std::string& self);
  /// Packs the published heads and their transposes, which are kept where the device refers to
  /// them.
  Status pack_both(WeightLoader& weights, const std::vector<kernels::WeightView>& published,
                   const std::string& where, std::unique_ptr<kernels::Matrix>& straight,
                   std::unique_ptr<kernels::Matrix>& turned);

  std::unique_ptr<kernels::Matrix> key_up_;
  std::unique_ptr<kernels::Matrix> value_up_;
  std::unique_ptr<kernels::Matrix> key_absorb_;
  std::vector<Transposed> sources_;  // what a matrix may refer to
  std::vector<float> scales_;        // the same
};

}  // namespace bundle::model
