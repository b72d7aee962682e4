// The two ends of a model, which have a row for each token: embedding and output matrix. Ranks of a
// stage share them by rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/kernels/device.h"
#include "runtime/model/team.h"

namespace bundle::model {

class Vocabulary {
 public:
  /// Of `size` tokens. `team`, which must outlive it, is null for a rank that has all of them.
  Vocabulary(std::int64_t size, const Team* team);

  std::int64_t size() const { return size_; }
  /// The rows that this rank has of either matrix.
  const Part& own() const { return own_; }

  /// out (ids.size(), hidden) = the tokens' rows, on every rank of the stage. `table` has the rows
  /// of own().
  void embed(kernels::Device& device, kernels::Arena& scratch, const kernels::Matrix& table,
             std::span<const std::int32_t> ids, kernels::Tensor out) const;

  /// Puts the last stage's scores, `rows` of them with own().count columns each, together as logits
  /// (rows, size()) on the first rank of all; they are left empty on the others. Ranks of other
  /// stages give a tensor without rows.
  void collect(kernels::Device& device, kernels::Tensor scores, std::int64_t rows,
               std::vector<float>& logits) const;

 private:
  void place(std::span<const float> scores, std::int64_t lane, std::int64_t rows,
             std::vector<float>& logits) const;

  std::int64_t size_;
  const Team* team_;
  Part own_;
};

}  // namespace bundle::model
