#include "cli/size_run.h"

#include <algorithm>

#include "base/text.h"
#include "cli/yaml_document.h"

namespace bundle::cli {
namespace {

constexpr double kUsers = 16;
constexpr std::int64_t kContext = 8192;
constexpr std::int64_t kPromptTokens = 1024;
constexpr std::int64_t kAnswerTokens = 1024;
constexpr double kReadingPace = 0.050;  // seconds a token: about as fast as people read
constexpr std::int64_t kNodes = 4;

std::optional<double> seconds(const std::optional<double>& milliseconds) {
  if (!milliseconds || *milliseconds <= 0) return std::nullopt;
  return *milliseconds / 1000;
}

Result<std::int64_t> context_of(const SizeInput& input, const SizeOptions& options) {
  const std::int64_t most = input.model.shape.config.max_positions;
  if (!options.context) return std::min(most, kContext);
  if (*options.context > most) {
    return Error{ErrorCode::kUsage,
                 "a context of " + std::to_string(*options.context) + " tokens is more than the " +
                     std::to_string(most) + " that the model was made for",
                 "--context", "Ask for a shorter one."};
  }
  return *options.context;
}

sizing::Load load_of(const SizeOptions& options, std::int64_t context) {
  sizing::Load load;
  load.rate = options.rate.value_or(0);
  load.concurrency = options.concurrency.value_or(load.rate > 0 ? 0 : kUsers);
  const std::int64_t half = std::max<std::int64_t>(1, context / 2);
  load.input_tokens =
      static_cast<double>(options.input_tokens.value_or(std::min(kPromptTokens, half)));
  load.output_tokens =
      static_cast<double>(options.output_tokens.value_or(std::min(kAnswerTokens, half)));
  return load;
}

Status check_lengths(const sizing::Load& load, std::int64_t context) {
  if (load.tokens() <= static_cast<double>(context)) return {};
  return Error{ErrorCode::kUsage,
               "prompt and answer are " + std::to_string(static_cast<std::int64_t>(load.tokens())) +
                   " tokens, more than a context of " + std::to_string(context),
               "--context", "Raise --context, or lower --input-tokens and --output-tokens."};
}

std::optional<sizing::Layout> layout_of(const SizeOptions& options) {
  if (!options.tp && !options.pp && !options.ep && !options.dp) return std::nullopt;
  return sizing::Layout{options.tp.value_or(1), options.pp.value_or(1), options.ep.value_or(1),
                        options.dp.value_or(1)};
}

Status choose_gpus(const SizeOptions& options, const catalog::Catalog& catalog, SizeRun& run) {
  if (options.gpus.empty()) {
    run.gpus = catalog.gpus();
    return {};
  }
  for (const std::string& name : options.gpus) {
    BUNDLE_TRY(const sizing::GpuSpec* gpu, catalog.gpu(name));
    run.gpus.push_back(*gpu);
  }
  return {};
}

Status choose_machines(const SizeOptions& options, const catalog::Catalog& catalog, SizeRun& run) {
  if (!options.inventory.empty()) {
    BUNDLE_TRY(const Json document, read_document(options.inventory));
    BUNDLE_TRY(run.machines, catalog::read_inventory(document, catalog, options.inventory));
    return {};
  }
  run.machines = catalog.machines();
  const auto providers = catalog.providers();
  for (const std::string& name : options.clouds) {
    if (std::find(providers.begin(), providers.end(), name) != providers.end()) continue;
    const std::string near = nearest(name, providers);
    std::string all;
    for (const std::string& each : providers) all += (all.empty() ? "" : ", ") + each;
    return not_found("the catalogue has no provider '" + name + "'", "--cloud",
                     near.empty() ? "Known: " + all + "." : "Did you mean '" + near + "'?");
  }
  return {};
}

Status choose_kv_types(const SizeOptions& options, SizeRun& run) {
  if (options.kv_types.empty()) return {};
  run.objectives.kv_types.clear();
  for (const std::string& name : options.kv_types) {
    if (name == "any") {
      run.objectives.kv_types = {{"bf16", 2}, {"fp8", 1}};
      return {};
    }
    BUNDLE_TRY(const sizing::KvType type, sizing::kv_type(name));
    run.objectives.kv_types.push_back(type);
  }
  return {};
}

Status choose_objectives(const SizeInput& input, const SizeOptions& options, SizeRun& run) {
  if (options.rate && options.concurrency) {
    return Error{ErrorCode::kUsage, "--rate and --concurrency say the load twice", "--rate",
                 "Give one of them."};
  }
  sizing::Objectives& objectives = run.objectives;
  BUNDLE_TRY(objectives.context, context_of(input, options));
  objectives.load = load_of(options, objectives.context);
  BUNDLE_CHECK(check_lengths(objectives.load, objectives.context));
  objectives.ttft = seconds(options.ttft);
  objectives.tpot = options.tpot ? seconds(options.tpot) : std::optional(kReadingPace);
  objectives.throughput = options.throughput;
  objectives.budget = options.budget;
  objectives.clouds = options.clouds;
  objectives.spot = options.spot;
  objectives.any_vendor = options.any_vendor;
  objectives.most_nodes = options.nodes.value_or(kNodes);
  objectives.layout = layout_of(options);
  if (objectives.layout) {
    BUNDLE_CHECK(sizing::check_layout(input.model.shape, *objectives.layout));
  }
  // So many tokens a second need so many users at least; without a number of them, as many as fit.
  if (options.throughput && !options.concurrency && !options.rate) objectives.load.concurrency = 0;
  return choose_kv_types(options, run);
}

Status answer(const SizeInput& input, const SizeOptions& options, SizeRun& run) {
  BUNDLE_CHECK(choose_objectives(input, options, run));
  BUNDLE_TRY(run.models, in_formats(input, options.quantizations));
  run.answer = sizing::search(run.models, run.gpus, run.machines, run.objectives,
                              sizing::Efficiency{}, sizing::engine_profile("bundle"));
  return {};
}

}  // namespace

Status run_size(const SizeInput& input, const SizeOptions& options, const catalog::Catalog& catalog,
                SizeRun& run) {
  BUNDLE_CHECK(choose_gpus(options, catalog, run));
  BUNDLE_CHECK(choose_machines(options, catalog, run));
  return answer(input, options, run);
}

Status run_size_on(const SizeInput& input, const SizeOptions& options,
                   std::vector<sizing::GpuSpec> gpus, std::vector<sizing::MachineSpec> machines,
                   SizeRun& run) {
  run.gpus = std::move(gpus);
  run.machines = std::move(machines);
  return answer(input, options, run);
}

const sizing::SizedModel& model_of(const SizeRun& run, const sizing::Plan& plan) {
  for (const sizing::SizedModel& model : run.models) {
    if (model.shape.format.name == plan.format) return model;
  }
  return run.models.front();
}

}  // namespace bundle::cli
