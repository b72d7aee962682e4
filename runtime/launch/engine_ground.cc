#include "runtime/launch/engine_ground.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "runtime/comm/shared_memory.h"
#include "runtime/comm/tcp.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/cuda/load_backend.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/engine_child.h"
#include "runtime/launch/group.h"

namespace bundle::launch {
namespace {

/// `neighbours` ranks divide this machine's cores.
Result<std::unique_ptr<kernels::Device>> make_cpu_device(const RuntimeSettings& settings,
                                                         int neighbours) {
  const int each = settings.threads == 0 ? 0 : std::max(1, settings.threads / neighbours);
  auto device = kernels::make_cpu_device({.threads = each, .isa = {}, .sharers = neighbours});
  if (device || settings.backend == "cpu") return device;
  log_warning("running on the slow reference device: " + device.error().message());
  return kernels::make_reference_device();
}

/// A rank among those of its machine.
struct Seat {
  int number = 0;
  int neighbours = 1;  // ranks of the machine, this one too
};

/// Whether every rank of this machine has a GPU, as each of them finds out for itself.
Status gpus_for_all(const RuntimeSettings& settings, int ranks) {
  if (ranks == 1) return {};
  const kernels::cuda::GpuReport report = kernels::cuda::find_gpus();
  if (!report.usable()) return report.problem;
  const auto there = static_cast<std::int64_t>(report.gpus.size()) - settings.gpu;
  if (there >= ranks) return {};
  return Error{ErrorCode::kUsage,
               std::to_string(ranks) + " ranks need a GPU each, and there are " +
                   std::to_string(std::max<std::int64_t>(there, 0)) +
                   (settings.gpu > 0 ? " from runtime.gpu on" : ""),
               "runtime.parallel",
               "Divide the model over as many ranks as there are GPUs, or set "
               "runtime.backend=cpu."};
}

Result<std::unique_ptr<kernels::Device>> make_gpu(const RuntimeSettings& settings,
                                                  const Seat& seat) {
  BUNDLE_CHECK(gpus_for_all(settings, seat.neighbours));
  return kernels::cuda::make_cuda_device(settings.gpu + seat.number,
                                         {.deterministic = settings.deterministic});
}

/// A pack without the CUDA backend, or a machine without a GPU, is no reason to complain.
Result<std::unique_ptr<kernels::Device>> make_device(const RuntimeSettings& settings,
                                                     const Seat& seat) {
  if (settings.backend == "cpu-reference") return kernels::make_reference_device();
  if (settings.backend == "cpu") return make_cpu_device(settings, seat.neighbours);
  auto gpu = make_gpu(settings, seat);
  if (gpu || settings.backend == "cuda") return gpu;
  if (gpu.error().code != ErrorCode::kNotFound) {
    log_warning("running on the CPU: " + gpu.error().message());
  }
  return make_cpu_device(settings, seat.neighbours);
}

/// A message on memory names one allocation: this adds what all weights lack of a device's own.
Error with_shortfall(Error error, std::uint64_t weights, std::optional<std::uint64_t> free_memory) {
  if (!free_memory || weights <= *free_memory) return error;
  error.what += "; all weights take " + human_bytes(weights) + ", " +
                human_bytes(weights - *free_memory) + " more than were free";
  error.remedy =
      "`bundle size` names the GPUs that hold this model, and how many it takes; or use weights of "
      "fewer bits (`bundle size --quantization`), or runtime.backend=cpu.";
  return error;
}

Result<EngineGround> make_ground(const std::string& spec, const Seat& seat) {
  BUNDLE_TRY(const Json document, parse_json(spec, "launch document"));
  BUNDLE_TRY(LaunchSpec launch, LaunchSpec::from_json(document, "launch document"));
  BUNDLE_TRY(RuntimeSettings settings, read_runtime_settings(launch.runtime, "launch document"));
  BUNDLE_TRY(format::Checkpoint checkpoint, format::Checkpoint::open(std::move(launch.model)));
  BUNDLE_TRY(auto device, make_device(settings, seat));
  return EngineGround{std::move(settings), seat.neighbours, std::move(checkpoint),
                      std::move(device), nullptr};
}

/// The ranks that share a model, and this one's seat.
struct Meeting {
  std::unique_ptr<comm::Communicator> world;
  Seat seat;
};

Result<Meeting> meet_others(int rank, const Progress& progress) {
  if (inherited(kGroupFd)) {
    const Fd document(kGroupFd);
    BUNDLE_TRY(comm::GroupPlace place, read_group_document(kGroupFd));
    place.rank = rank;
    BUNDLE_TRY(auto world, comm::join_group(place, meeting_options(progress)));
    const int here = place.ranks / place.nodes;
    return Meeting{std::move(world), {rank % here, here}};
  }
  const Fd memory(kRanksFd);
  BUNDLE_TRY(auto world, comm::join_shared_memory(memory, rank));
  const int ranks = world->size();
  return Meeting{std::move(world), {rank, ranks}};
}

}  // namespace

Result<EngineGround> make_ground(const std::string& spec) { return make_ground(spec, Seat{}); }

Result<EngineGround> make_shared_ground(const std::string& spec, int rank,
                                        const Progress& progress) {
  BUNDLE_TRY(Meeting met, meet_others(rank, progress));
  auto ground = make_ground(spec, met.seat);
  if (!ground) {
    met.world->abort(ground.error());
    return ground;
  }
  BUNDLE_TRY(ground->team,
             model::Team::make(std::move(met.world), ground->settings.parallel, *ground->device));
  return ground;
}

Result<std::unique_ptr<model::Model>> load_part(EngineGround& ground, const Progress& progress) {
  model::LoadOptions options;
  options.draft = ground.settings.engine.speculation == engine::Speculation::kModel;
  options.team = ground.team.get();
  const auto free_memory = ground.device->free_memory();
  auto loaded = model::load_model(ground.checkpoint, *ground.device, progress, options);
  if (loaded || !free_memory) return loaded;
  Error error = with_shortfall(loaded.error(), ground.checkpoint.weight_bytes(), free_memory);
  const bool alone = ground.team == nullptr;  // and so free to change its mind
  if (!alone || ground.settings.backend != "auto" || error.code == ErrorCode::kInterrupted) {
    return error;
  }
  log_warning("running on the CPU: " + error.message());
  BUNDLE_TRY(ground.device, make_cpu_device(ground.settings, ground.neighbours));
  return model::load_model(ground.checkpoint, *ground.device, progress, options);
}

}  // namespace bundle::launch
