#include "runtime/model/vocabulary.h"

#include <algorithm>

#include "runtime/model/layer.h"

namespace bundle::model {

using kernels::Tensor;

Vocabulary::Vocabulary(std::int64_t size, const Team* team)
    : size_(size), team_(team), own_{0, size} {
  if (team != nullptr) own_ = team->placement().of_stage(size);
}

void Vocabulary::embed(kernels::Device& device, kernels::Arena& scratch,
                       const kernels::Matrix& table, std::span<const std::int32_t> ids,
                       Tensor out) const {
  if (own_.all_of(size_)) return device.embed(table, ids, out);
  std::vector<std::int32_t> local;
  std::vector<std::int64_t> order(ids.size(), -1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t row = ids[i] - own_.first;
    if (row < 0 || row >= own_.count) continue;
    order[i] = static_cast<std::int64_t>(local.size());
    local.push_back(static_cast<std::int32_t>(row));
  }
  // A row of zeros behind them stands for every token of another rank: all ranks add up to one.
  const auto count = static_cast<std::int64_t>(local.size());
  std::replace(order.begin(), order.end(), std::int64_t{-1}, count);
  const Tensor rows = take(scratch, count + 1, out.cols);
  device.clear(rows);
  if (count > 0) device.embed(table, local, {rows.data, count, rows.cols});
  device.gather_rows(rows, order, out);
  team_->stage().add_up(out);
}

/// Copies one lane's columns into the logits.
void Vocabulary::place(std::span<const float> scores, std::int64_t lane, std::int64_t rows,
                       std::vector<float>& logits) const {
  const Part part = part_of(size_, 1, team_->placement().parallel.tensor, lane);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto from = scores.begin() + row * part.count;
    std::copy(from, from + part.count, logits.begin() + row * size_ + part.first);
  }
}

void Vocabulary::collect(kernels::Device& device, Tensor scores, std::int64_t rows,
                         std::vector<float>& logits) const {
  logits.resize(static_cast<std::size_t>(rows * size_));
  if (rows == 0) return;
  if (team_ == nullptr) return device.read(scores, logits.data());
  const Placement& self = team_->placement();
  if (self.rank != 0) {
    logits.clear();
    if (self.last_stage()) (void)team_->world().send(bytes_of(scores), 0);
    return;
  }
  std::vector<float> part;
  for (std::int64_t lane = 0; lane < self.parallel.tensor; ++lane) {
    const std::int64_t rank = (self.parallel.pipeline - 1) * self.parallel.tensor + lane;
    const std::int64_t count = part_of(size_, 1, self.parallel.tensor, lane).count;
    part.resize(static_cast<std::size_t>(rows * count));
    if (rank == 0) {
      device.read(scores, part.data());
    } else {
      (void)team_->world().receive(std::as_writable_bytes(std::span(part)), static_cast<int>(rank));
    }
    place(part, lane, rows, logits);
  }
}

}  // namespace bundle::model
