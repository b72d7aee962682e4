#include "runtime/model/vocabulary.h"

#include "runtime/model/layer.h"

namespace bundle::model {

using kernels::Tensor;

Vocabulary::Vocabulary(std::int64_t size, const Team* team)
    : size_(size), team_(team), own_{0, size} {
  if (team != nullptr) own_ = team->placement().of_stage(size);
}

void Vocabulary::embed(kernels::Device& device, const kernels::Matrix& table,
                       std::span<const std::int32_t> ids, Tensor out) const {
  if (own_.all_of(size_)) return device.embed(table, ids, out);
  device.embed_part(table, own_.first, ids, out);
  team_->stage().add_up(out);
}

Tensor Vocabulary::collect(kernels::Device& device, kernels::Arena& arena, Tensor scores,
                           std::int64_t rows) const {
  if (team_ == nullptr || rows == 0) return scores;
  const Placement& self = team_->placement();
  comm::Communicator& ranks = team_->tensors();
  if (self.rank != 0) {
    if (self.last_stage()) (void)ranks.send(bytes_of(scores), 0);
    return {};
  }
  if (self.parallel.ranks() == 1) return scores;
  const Tensor all = take(arena, rows, size_);
  for (std::int64_t lane = 0; lane < self.parallel.tensor; ++lane) {
    const std::int64_t rank = (self.parallel.pipeline - 1) * self.parallel.tensor + lane;
    const Part columns = part_of(size_, 1, self.parallel.tensor, lane);
    const Tensor part = rank == 0 ? scores : take(arena, rows, columns.count);
    if (rank != 0) (void)ranks.receive(bytes_of(part), static_cast<int>(rank));
    device.place_columns(part, columns.first, all);
  }
  return all;
}

}  // namespace bundle::model
