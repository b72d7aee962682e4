#include "runtime/launch/engine_main.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "runtime/launch/constraint_vocabulary.h"
#include "runtime/launch/engine_ground.h"
#include "runtime/model/leader.h"
#include "runtime/sizing/memory_plan.h"

namespace bundle::launch {
namespace {

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

/// The whole model, or the first part of it, which leads the others.
Result<std::unique_ptr<model::Model>> load_leader(EngineGround& ground, const Progress& progress) {
  auto model = load_part(ground, progress);
  if (ground.team == nullptr) return model;
  if (model) return model::lead(std::move(*model), *ground.team);
  ground.team->world().abort(model.error());
  return model;
}

Result<LoadedEngine> load(EngineGround made, const Progress& progress) {
  auto ground = std::make_shared<EngineGround>(std::move(made));
  BUNDLE_TRY(auto model, load_leader(*ground, progress));
  engine::EngineOptions options = ground->settings.engine;
  // What was not repacked into private memory stays in the page cache.
  const std::uint64_t weights = model->weight_bytes();
  options.mapped_weight_bytes = weights - std::min(weights, model->resident_bytes());
  options.constraints = std::make_shared<engine::ConstraintCompiler>(
      [checkpoint = &ground->checkpoint, size = model->config().vocab_size,
       ends = model->config().eos_ids] { return constraint_vocabulary(*checkpoint, size, ends); });
  options.ranks = ground->neighbours;
  BUNDLE_TRY(auto engine, engine::Engine::create(std::move(model), *ground->device, options));
  log_memory(*engine, options, weights);
  LoadedEngine loaded{ground, std::move(engine)};
  if (ground->team != nullptr) {
    loaded.give_up = [ground](const Error& why) { ground->team->world().abort(why); };
    loaded.look_around = [ground] { return ground->team->world().health(); };
  }
  return loaded;
}

}  // namespace

Result<LoadedEngine> load_engine(const std::string& spec, const Progress& progress) {
  BUNDLE_TRY(EngineGround ground, make_ground(spec));
  return load(std::move(ground), progress);
}

Result<LoadedEngine> load_first_rank(const std::string& spec, const Progress& progress) {
  BUNDLE_TRY(EngineGround ground, make_shared_ground(spec, 0, progress));
  return load(std::move(ground), progress);
}

}  // namespace bundle::launch
