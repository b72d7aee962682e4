#include "runtime/launch/engine_main.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/format/checkpoint.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/cuda/load_backend.h"
#include "runtime/launch/constraint_vocabulary.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/model/model.h"
#include "runtime/sizing/memory_plan.h"

namespace bundle::launch {
namespace {

/// What an engine stands on, in the order it must come.
struct Ground {
  format::Checkpoint checkpoint;
  std::unique_ptr<kernels::Device> device;
};

Result<std::unique_ptr<kernels::Device>> make_cpu_device(const RuntimeSettings& settings) {
  auto device = kernels::make_cpu_device({.threads = settings.threads, .isa = {}});
  if (device || settings.backend == "cpu") return device;
  log_warning("running on the slow reference device: " + device.error().message());
  return kernels::make_reference_device();
}

/// A pack without the CUDA backend, or a machine without a GPU, is no reason to complain.
Result<std::unique_ptr<kernels::Device>> make_device(const RuntimeSettings& settings) {
  if (settings.backend == "cpu-reference") return kernels::make_reference_device();
  if (settings.backend == "cpu") return make_cpu_device(settings);
  auto gpu =
      kernels::cuda::make_cuda_device(settings.gpu, {.deterministic = settings.deterministic});
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

/// With the backend left open, a model that the GPU has no kernels or no room for runs on the CPU.
Result<std::unique_ptr<model::Model>> load_model(Ground& ground, const RuntimeSettings& settings,
                                                 const Progress& progress) {
  const model::LoadOptions options{settings.engine.speculation == engine::Speculation::kModel};
  const auto free_memory = ground.device->free_memory();
  auto loaded = model::load_model(ground.checkpoint, *ground.device, progress, options);
  if (loaded.has_error()) {
    loaded =
        with_shortfall(std::move(loaded).error(), ground.checkpoint.weight_bytes(), free_memory);
  }
  const bool elsewhere = loaded.has_error() && loaded.error().code != ErrorCode::kInterrupted &&
                         settings.backend == "auto" && ground.device->name().starts_with("cuda");
  if (!elsewhere) return loaded;
  log_warning("running on the CPU: " + loaded.error().message());
  BUNDLE_TRY(ground.device, make_cpu_device(settings));
  return model::load_model(ground.checkpoint, *ground.device, progress, options);
}

/// Memory that this process has in use, in bytes: its own, and of mapped files what is in RAM. 0
/// when it cannot be told.
std::uint64_t resident_bytes() {
  const auto text = read_file("/proc/self/statm", 4096);
  unsigned long long size = 0;
  unsigned long long resident = 0;
  if (!text || std::sscanf(text->c_str(), "%llu %llu", &size, &resident) != 2) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// What sizing predicts for this engine, beside what it takes.
void log_memory(const engine::Engine& engine, const engine::EngineOptions& options,
                std::uint64_t weights) {
  const format::ModelConfig& config = engine.config();
  const engine::EngineStats stats = engine.stats();
  const auto tokens = static_cast<std::uint64_t>(stats.kv_blocks_total) *
                      static_cast<std::uint64_t>(stats.kv_block_tokens);
  const std::uint64_t cache = tokens * sizing::kv_bytes_per_token(config, options.kv_type);
  const std::uint64_t activations =
      sizing::host_activation_bytes(config, options.max_step_tokens, options.max_sequences);
  log_info("memory predicted: " + human_bytes(weights) + " weights, " + human_bytes(activations) +
           " activations, cache up to " + human_bytes(cache) + " (" + std::to_string(tokens) +
           " tokens); in use after loading: " + human_bytes(resident_bytes()));
}

}  // namespace

Result<LoadedEngine> load_engine(const std::string& spec, const Progress& progress) {
  BUNDLE_TRY(const Json document, parse_json(spec, "launch document"));
  BUNDLE_TRY(LaunchSpec launch, LaunchSpec::from_json(document, "launch document"));
  BUNDLE_TRY(RuntimeSettings settings, read_runtime_settings(launch.runtime, "launch document"));
  BUNDLE_TRY(format::Checkpoint checkpoint, format::Checkpoint::open(std::move(launch.model)));
  BUNDLE_TRY(auto device, make_device(settings));
  auto ground = std::make_shared<Ground>(Ground{std::move(checkpoint), std::move(device)});
  BUNDLE_TRY(auto model, load_model(*ground, settings, progress));
  // What was not repacked into private memory stays in the page cache.
  const std::uint64_t weights = ground->checkpoint.weight_bytes();
  settings.engine.mapped_weight_bytes = weights - std::min(weights, model->resident_bytes());
  settings.engine.constraints = std::make_shared<engine::ConstraintCompiler>(
      [checkpoint = &ground->checkpoint, size = model->config().vocab_size,
       ends = model->config().eos_ids] { return constraint_vocabulary(*checkpoint, size, ends); });
  BUNDLE_TRY(auto engine,
             engine::Engine::create(std::move(model), *ground->device, settings.engine));
  log_memory(*engine, settings.engine, weights);
  const kernels::Device& used = *ground->device;
  return LoadedEngine{std::move(ground), std::move(engine), [&used] { return used.status(); }};
}

}  // namespace bundle::launch
