#include "runtime/launch/engine_ground.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "runtime/comm/shared_memory.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/cuda/load_backend.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/engine_child.h"

namespace bundle::launch {
namespace {

Result<std::unique_ptr<kernels::Device>> make_cpu_device(const RuntimeSettings& settings) {
  const int ranks = static_cast<int>(settings.parallel.ranks());
  const int each = settings.threads == 0 ? 0 : std::max(1, settings.threads / ranks);
  auto device = kernels::make_cpu_device({.threads = each, .isa = {}, .sharers = ranks});
  if (device || settings.backend == "cpu") return device;
  log_warning("running on the slow reference device: " + device.error().message());
  return kernels::make_reference_device();
}

/// Whether every rank of this machine has a GPU, as each of them finds out for itself.
Status gpus_for_all(const RuntimeSettings& settings) {
  const auto ranks = settings.parallel.ranks();
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

Result<std::unique_ptr<kernels::Device>> make_gpu(const RuntimeSettings& settings, int rank) {
  BUNDLE_CHECK(gpus_for_all(settings));
  return kernels::cuda::make_cuda_device(settings.gpu + rank,
                                         {.deterministic = settings.deterministic});
}

/// A pack without the CUDA backend, or a machine without a GPU, is no reason to complain.
Result<std::unique_ptr<kernels::Device>> make_device(const RuntimeSettings& settings, int rank) {
  if (settings.backend == "cpu-reference") return kernels::make_reference_device();
  if (settings.backend == "cpu") return make_cpu_device(settings);
  auto gpu = make_gpu(settings, rank);
  if (gpu || settings.backend == "cuda") return gpu;
  if (gpu.error().code != ErrorCode::kNotFound) {
    log_warning("running on the CPU: " + gpu.error().message());
  }
  return make_cpu_device(settings);
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

}  // namespace

Result<EngineGround> make_ground(const std::string& spec, int rank) {
  BUNDLE_TRY(const Json document, parse_json(spec, "launch document"));
  BUNDLE_TRY(LaunchSpec launch, LaunchSpec::from_json(document, "launch document"));
  BUNDLE_TRY(RuntimeSettings settings, read_runtime_settings(launch.runtime, "launch document"));
  BUNDLE_TRY(format::Checkpoint checkpoint, format::Checkpoint::open(std::move(launch.model)));
  BUNDLE_TRY(auto device, make_device(settings, rank));
  return EngineGround{std::move(settings), std::move(checkpoint), std::move(device), nullptr};
}

Result<EngineGround> make_shared_ground(const std::string& spec, int rank) {
  const Fd memory(kRanksFd);
  BUNDLE_TRY(auto world, comm::join_shared_memory(memory, rank));
  auto ground = make_ground(spec, rank);
  if (!ground) {
    world->abort(ground.error());
    return ground;
  }
  BUNDLE_TRY(ground->team,
             model::Team::make(std::move(world), ground->settings.parallel, *ground->device));
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
  // One rank alone may change its mind.
  if (ground.team != nullptr || ground.settings.backend != "auto" ||
      error.code == ErrorCode::kInterrupted)
    return error;
  log_warning("running on the CPU: " + error.message());
  BUNDLE_TRY(ground.device, make_cpu_device(ground.settings));
  return model::load_model(ground.checkpoint, *ground.device, progress, options);
}

}  // namespace bundle::launch
