#include "runtime/launch/engine_ground.h"

#include <algorithm>

#include "base/log.h"
#include "runtime/comm/shared_memory.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/engine_child.h"

namespace bundle::launch {
namespace {

Result<std::unique_ptr<kernels::Device>> make_device(const RuntimeSettings& settings) {
  if (settings.backend == "cpu-reference") return kernels::make_reference_device();
  const int ranks = static_cast<int>(settings.parallel.ranks());
  const int each = settings.threads == 0 ? 0 : std::max(1, settings.threads / ranks);
  auto device = kernels::make_cpu_device({.threads = each, .isa = {}, .sharers = ranks});
  if (device || settings.backend == "cpu") return device;
  log_warning("running on the slow reference device: " + device.error().message());
  return kernels::make_reference_device();
}

}  // namespace

Result<EngineGround> make_ground(const std::string& spec) {
  BUNDLE_TRY(const Json document, parse_json(spec, "launch document"));
  BUNDLE_TRY(LaunchSpec launch, LaunchSpec::from_json(document, "launch document"));
  BUNDLE_TRY(RuntimeSettings settings, read_runtime_settings(launch.runtime, "launch document"));
  BUNDLE_TRY(format::Checkpoint checkpoint, format::Checkpoint::open(std::move(launch.model)));
  BUNDLE_TRY(auto device, make_device(settings));
  return EngineGround{std::move(settings), std::move(checkpoint), nullptr, std::move(device)};
}

Result<EngineGround> make_shared_ground(const std::string& spec, int rank) {
  const Fd memory(kRanksFd);
  BUNDLE_TRY(auto world, comm::join_shared_memory(memory, rank));
  auto ground = make_ground(spec);
  if (!ground) {
    world->abort(ground.error());
    return ground;
  }
  BUNDLE_TRY(ground->team, model::Team::make(std::move(world), ground->settings.parallel));
  return ground;
}

Result<std::unique_ptr<model::Model>> load_part(const EngineGround& ground,
                                                const Progress& progress) {
  model::LoadOptions options;
  options.draft = ground.settings.engine.speculation == engine::Speculation::kModel;
  options.team = ground.team.get();
  return model::load_model(ground.checkpoint, *ground.device, progress, options);
}

}  // namespace bundle::launch
