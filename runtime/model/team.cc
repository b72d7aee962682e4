#include "runtime/model/team.h"

#include <array>
#include <string>
#include <string_view>
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

/// Ranks exchange tensors in the memory of one kind of device ("cpu", "cuda"), and would wait for
/// each other forever with two: where the backend is left open, a rank whose GPU fails has taken
/// its CPU.
Status check_one_kind(comm::Communicator& world, const kernels::Device& device) {
  const std::string kind(device.name().substr(0, device.name().find('-')));
  std::array<char, 16> first = {};
  if (world.rank() == 0) kind.copy(first.data(), first.size() - 1);
  BUNDLE_CHECK(world.broadcast(std::as_writable_bytes(std::span(first)), 0));
  first.back() = 0;
  if (kind == first.data()) return {};
  Error error = failed("rank " + std::to_string(world.rank()) + " computes on '" + kind +
                           "', rank 0 on '" + first.data() + "'",
                       "runtime.backend", "Its log says why. Or set runtime.backend=cpu.");
  world.abort(error);
  return error;
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
  BUNDLE_CHECK(check_one_kind(*team->world_, device));
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
