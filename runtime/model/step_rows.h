// The rows of one step: which tokens, where each sequence's lie, and which of them are this rank's.
//
// With data-parallel attention each group of ranks attends for sequences of its own. The hidden
// states of all rows lie on every rank of the stage between two halves of layers; for attention a
// rank takes its group's rows, and afterwards the groups hand their rows round.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/model/layer.h"
#include "runtime/model/model.h"

namespace bundle::model {

/// How rows that several groups computed are put together again.
struct RowShares {
  std::vector<std::int64_t> own;    // this group's, among all
  std::vector<std::int64_t> order;  // of all: where each lies among the groups' rows, gathered
  std::int64_t most = 0;            // rows of the group that has most
};

class StepRows {
 public:
  /// There are `groups` attention groups, and this rank is in number `group`.
  StepRows(std::int64_t groups, std::int64_t group) : groups_(groups), group_(group) {}

  void clear();
  /// Adds a chunk's rows, keeping the last `kept` of them. Positions below `prompt_positions` take
  /// the expanded form of attention (Model::prompt_positions).
  void add(const SequenceChunk& chunk, std::int64_t kept, std::int64_t prompt_positions);
  /// Once all chunks were added.
  void finish();

  std::span<const std::int32_t> ids() const { return ids_; }
  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  /// Rows that are kept, of all of the step.
  std::span<const std::int64_t> kept() const { return kept_; }
  bool keeps_all() const { return kept_.size() == ids_.size(); }

  /// Of this rank's own rows, numbered among themselves.
  std::span<const kernels::Slice> slices() const { return slices_; }
  KeptRows own_kept() const { return {own_kept_, kept_slices_}; }

  /// x + attention(norm(x)) of all rows, or of those that are kept alone. `groups` is the
  /// communicator of the attention groups, null for one.
  kernels::Tensor attend(const AttentionLayer& attention, const Step& step, kernels::Tensor x,
                         bool keep, comm::Communicator* groups) const;

 private:
  void slice(const SequenceChunk& chunk, std::int64_t skipped, std::int64_t first_row,
             std::int64_t prompt_positions, std::vector<kernels::Slice>& slices) const;
  void hand_round(const Step& step, kernels::Tensor own, const RowShares& shares,
                  comm::Communicator& groups, kernels::Tensor all) const;
  RowShares shares(const std::vector<std::int64_t>& groups_of_rows) const;

  std::int64_t groups_;
  std::int64_t group_;
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> kept_;
  std::vector<std::int64_t> group_of_row_, group_of_kept_;
  std::vector<kernels::Slice> slices_, kept_slices_;
  std::vector<std::int64_t> own_kept_;
  std::int64_t own_rows_ = 0;
  RowShares all_shares_, kept_shares_;  // with several groups
};

}  // namespace bundle::model
