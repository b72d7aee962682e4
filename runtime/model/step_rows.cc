#include "runtime/model/step_rows.h"

#include <algorithm>
#include <numeric>

#include "runtime/model/team.h"

namespace bundle::model {

using kernels::Tensor;

void StepRows::clear() {
  ids_.clear();
  kept_.clear();
  group_of_row_.clear();
  group_of_kept_.clear();
  slices_.clear();
  kept_slices_.clear();
  own_kept_.clear();
  own_rows_ = 0;
}

/// The chunk's rows but the first `skipped`, which become rows first_row … of a batch; cut where
/// the form of attention changes.
void StepRows::slice(const SequenceChunk& chunk, std::int64_t skipped, std::int64_t first_row,
                     std::int64_t prompt_positions, std::vector<kernels::Slice>& slices) const {
  const std::int64_t begin = chunk.position + skipped;
  const std::int64_t end = chunk.position + static_cast<std::int64_t>(chunk.tokens.size());
  const std::int64_t border = std::clamp(prompt_positions, begin, end);
  const auto add = [&](std::int64_t from, std::int64_t to, bool expanded) {
    if (from == to) return;
    slices.push_back({first_row + from - begin, to - from, from, chunk.blocks.data(), expanded});
  };
  add(begin, border, true);
  add(border, end, false);
}

void StepRows::add(const SequenceChunk& chunk, std::int64_t kept, std::int64_t prompt_positions) {
  const std::int64_t first = size();
  const auto rows = static_cast<std::int64_t>(chunk.tokens.size());
  const std::int64_t skipped = rows - kept;
  const std::int64_t group = chunk.group % groups_;
  ids_.insert(ids_.end(), chunk.tokens.begin(), chunk.tokens.end());
  for (std::int64_t row = skipped; row < rows; ++row) kept_.push_back(first + row);
  group_of_row_.resize(ids_.size(), group);
  group_of_kept_.resize(kept_.size(), group);
  if (group != group_) return;
  const auto first_kept = static_cast<std::int64_t>(own_kept_.size());
  slice(chunk, 0, own_rows_, prompt_positions, slices_);
  slice(chunk, skipped, first_kept, prompt_positions, kept_slices_);
  for (std::int64_t row = skipped; row < rows; ++row) own_kept_.push_back(own_rows_ + row);
  own_rows_ += rows;
}

RowShares StepRows::shares(const std::vector<std::int64_t>& groups_of_rows) const {
  RowShares shares;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(groups_));
  for (std::size_t row = 0; row < groups_of_rows.size(); ++row) {
    std::int64_t& count = counts[static_cast<std::size_t>(groups_of_rows[row])];
    if (groups_of_rows[row] == group_) shares.own.push_back(static_cast<std::int64_t>(row));
    shares.order.push_back(count++);
  }
  shares.most = *std::max_element(counts.begin(), counts.end());
  for (std::size_t row = 0; row < groups_of_rows.size(); ++row) {
    shares.order[row] += groups_of_rows[row] * shares.most;
  }
  return shares;
}

void StepRows::finish() {
  if (groups_ == 1) return;
  all_shares_ = shares(group_of_row_);
  kept_shares_ = shares(group_of_kept_);
}

Tensor StepRows::attend(const AttentionLayer& attention, const Step& step, Tensor x, bool keep,
                        comm::Communicator* groups) const {
  const KeptRows kept = own_kept();
  if (groups == nullptr) return attention.forward(step, x, keep ? &kept : nullptr);
  const RowShares& after = keep ? kept_shares_ : all_shares_;
  const auto count = static_cast<std::int64_t>(all_shares_.own.size());
  Tensor own = take(step.scratch, count, x.cols);
  if (count > 0) {
    step.device.gather_rows(x, all_shares_.own, own);
    own = attention.forward(step, own, keep ? &kept : nullptr);
  }
  const auto left = static_cast<std::int64_t>(after.order.size());
  if (left != x.rows) x = take(step.lasting, left, x.cols);
  if (left > 0) hand_round(step, own, after, *groups, x);
  return x;
}

/// all = the rows that every group has, of which `own` are this one's. Groups send as many rows as
/// the largest has, so that every part has one length.
void StepRows::hand_round(const Step& step, Tensor own, const RowShares& shares,
                          comm::Communicator& groups, Tensor all) const {
  const Tensor part = take(step.scratch, shares.most, all.cols);
  const Tensor gathered = take(step.scratch, shares.most * groups_, all.cols);
  const auto count = static_cast<std::int64_t>(shares.own.size());
  std::vector<std::int64_t> every(shares.own.size());
  std::iota(every.begin(), every.end(), 0);
  step.device.clear(part);
  if (count > 0) step.device.gather_rows(own, every, {part.data, count, part.cols});
  (void)groups.all_gather(bytes_of(part), bytes_of(gathered));
  step.device.gather_rows(gathered, shares.order, all);
}

}  // namespace bundle::model
