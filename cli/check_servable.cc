#include "cli/check_servable.h"

#include "runtime/format/model_config.h"
#include "runtime/launch/served_model.h"
#include "runtime/model/placement.h"

namespace bundle::cli {
namespace {

Status check_context(const format::ModelConfig& config, std::int64_t wanted) {
  if (wanted <= config.max_positions) return {};
  return bad_input("a context of " + std::to_string(wanted) + " tokens is more than the " +
                       std::to_string(config.max_positions) + " that the model was made for",
                   "runtime.context_length", "Choose a shorter one, or leave it out.");
}

/// What a model's shape says of its settings.
Status check_against_model(const format::ModelSource& model,
                           const launch::RuntimeSettings& settings) {
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(model));
  BUNDLE_TRY(const auto config, format::read_model_config(checkpoint));
  BUNDLE_CHECK(check_context(config, settings.engine.max_context));
  const bool guesses = settings.engine.speculation == engine::Speculation::kModel;
  if (guesses && config.num_mtp_layers == 0) {
    return bad_input("the model has no prediction layer to speculate with", "runtime.speculation",
                     "Choose lookup or off.");
  }
  return model::check_parallel(config, settings.parallel);
}

}  // namespace

Status check_settings(const format::ModelSource& model, const JsonObject& runtime) {
  BUNDLE_TRY(const auto settings, launch::read_runtime_settings(runtime, "runtime"));
  return check_against_model(model, settings);
}

Status check_servable(const format::ModelSource& model, const JsonObject& runtime) {
  BUNDLE_TRY(const auto settings, launch::read_runtime_settings(runtime, "runtime"));
  BUNDLE_CHECK(check_against_model(model, settings));
  launch::LaunchSpec spec;
  spec.name = "model";
  spec.model = model;
  spec.runtime = runtime;
  BUNDLE_TRY([[maybe_unused]] const auto served, launch::load_served_model(spec, settings));
  return {};
}

}  // namespace bundle::cli
