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
  void embed(kernels::Device& device, const kernels::Matrix& table,
             std::span<const std::int32_t> ids, kernels::Tensor out) const;

  /// The last stage's scores, `rows` of them with own().count columns each, side by side (rows,
  /// size()) on the first rank of all, in memory of `arena`; no rows on the others. Ranks of other
  /// stages give a tensor without rows.
  kernels::Tensor collect(kernels::Device& device, kernels::Arena& arena, kernels::Tensor scores,
                          std::int64_t rows) const;

 private:
  std::int64_t size_;
  const Team* team_;
  Part own_;
};

}  // namespace bundle::model
