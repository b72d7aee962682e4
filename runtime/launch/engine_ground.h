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
  format::Checkpoint checkpoint;
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<model::Team> team;  // null: no other ranks
};

/// `spec` is a LaunchSpec as JSON text. Without a team; a GPU is that of rank `rank`.
Result<EngineGround> make_ground(const std::string& spec, int rank = 0);

/// The same with a team, of the ranks whose memory this process inherited (kRanksFd); an error
/// reaches those ranks too.
Result<EngineGround> make_shared_ground(const std::string& spec, int rank);

/// This rank's part of the model. The ground must outlive it. With the backend left open, a model
/// that the GPU has no kernels or no room for takes the CPU: the ground's device is another then.
Result<std::unique_ptr<model::Model>> load_part(EngineGround& ground, const Progress& progress);

}  // namespace bundle::launch
