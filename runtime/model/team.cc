#include "runtime/model/team.h"

#include <string>
#include <vector>

namespace bundle::model {
namespace {

/// Ranks first, first + step, … of the world; null where that is one rank.
std::unique_ptr<comm::Communicator> group_of(comm::Communicator& world, std::int64_t first,
                                             std::int64_t step, std::int64_t count) {
  if (count == 1) return nullptr;
  std::vector<int> ranks;
  for (std::int64_t i = 0; i < count; ++i) ranks.push_back(static_cast<int>(first + i * step));
  return world.subgroup(ranks);
}

}  // namespace

Result<std::unique_ptr<Team>> Team::make(std::unique_ptr<comm::Communicator> world,
                                         const Parallel& parallel, kernels::Device& device) {
  if (parallel.ranks() != world->size()) {
    return Error{ErrorCode::kUsage, "a layout of " + std::to_string(parallel.ranks()) +
                                        " ranks for " + std::to_string(world->size())};
  }
  const Placement place{parallel, world->rank()};
  std::unique_ptr<Team> team(new Team(std::move(world), place));
  BUNDLE_TRY(team->tensors_, device.connect(*team->world_));
  const std::int64_t stage = place.stage() * parallel.tensor;
  const std::int64_t each = place.attention_ranks();
  team->stage_ = group_of(team->tensors(), stage, 1, parallel.tensor);
  team->attention_ = group_of(team->tensors(), stage + place.group() * each, 1, each);
  team->groups_ = group_of(team->tensors(), stage + place.attention_rank(), each, parallel.data);
  BUNDLE_CHECK(team->health());
  return team;
}

Status Team::health() const {
  BUNDLE_CHECK(world_->health());
  if (!on_device()) return {};  // the groups are of the same memory or connections
  for (const comm::Communicator* group :
       {tensors_.get(), stage_.get(), attention_.get(), groups_.get()}) {
    if (group != nullptr) BUNDLE_CHECK(group->health());
  }
  return {};
}

}  // namespace bundle::model
