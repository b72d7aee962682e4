// What an engine process stands on, whichever rank it is: checkpoint, device, and the ranks that it
// shares the model with.
#pragma once

#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/comm/communicator.h"
#include "runtime/format/checkpoint.h"
#include "runtime/kernels/device.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/model/model.h"
#include "runtime/model/team.h"

namespace bundle::launch {

/// In the order in which the parts must come.
struct EngineGround {
  RuntimeSettings settings;
  int neighbours = 1;  // ranks on this machine, this one among them
  format::Checkpoint checkpoint;
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<model::Team> team;  // null: no other ranks
};

/// `spec` is a LaunchSpec as JSON text. Without a team.
Result<EngineGround> make_ground(const std::string& spec);

/// The same with a team: of the ranks whose memory this process inherited (kRanksFd), or of a group
/// of several machines (kGroupFd), whose ranks meet first. An error reaches those ranks too.
Result<EngineGround> make_shared_ground(const std::string& spec, int rank,
                                        const Progress& progress = {});

/// This rank's part of the model. The ground must outlive it. With the backend left open, a model
/// that the GPU has no kernels or no room for takes the CPU: the ground's device is another then.
Result<std::unique_ptr<model::Model>> load_part(EngineGround& ground, const Progress& progress);

}  // namespace bundle::launch
