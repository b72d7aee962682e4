#include "cli/here_model.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cli/made_up_tokens.h"
#include "cli/median_time.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/model/model.h"

namespace bundle::cli {
namespace {

constexpr std::uint64_t kMostBytes = 1u << 30;
constexpr std::int64_t kBlockTokens = 16;
constexpr std::int64_t kMostPrompt = 1024;  // tokens that are really computed; more are scaled

/// Layers that are loaded for the two measurements; `fewer` is 0 where `more` is the whole model.
struct Depths {
  std::int64_t fewer = 0;
  std::int64_t more = 0;
};

/// Layers before the first of the kind that repeats (DeepSeek's dense ones).
std::int64_t leading_layers(const format::ModelConfig& config) {
  std::int64_t layers = 0;
  const bool repeated = config.has_experts(config.num_layers - 1);
  while (layers < config.num_layers && config.has_experts(layers) != repeated) ++layers;
  return layers;
}

Depths depths_of(const sizing::SizedModel& model) {
  const format::ModelConfig& config = model.shape.config;
  std::vector<std::uint64_t> bytes(static_cast<std::size_t>(config.num_layers));
  for (const sizing::WeightPart& part : model.parts) {
    if (part.layer >= 0 && part.layer < config.num_layers) {
      bytes[static_cast<std::size_t>(part.layer)] += part.bytes;
    }
  }
  std::int64_t fitting = 0;
  std::uint64_t sum = 0;
  for (const std::uint64_t each : bytes) {
    sum += each;
    if (sum > kMostBytes) break;
    ++fitting;
  }
  const std::int64_t leading = leading_layers(config);
  const std::int64_t more = std::min(std::max(fitting, leading + 2), config.num_layers);
  if (more == config.num_layers) return {0, more};
  return {std::max(leading + 1, more / 2), more};
}

/// Seconds of one step of one sequence, and of a prompt.
struct Times {
  double decode = 0;
  double prefill = 0;
};

Result<Times> time_layers(const format::Checkpoint& checkpoint, kernels::Device& device,
                          const HereQuestion& question, std::int64_t layers) {
  model::LoadOptions options;
  options.layers = layers;
  BUNDLE_TRY(const auto loaded, model::load_model(checkpoint, device, {}, options));
  const std::int64_t prompt = std::min(question.input_tokens, kMostPrompt);
  const std::int64_t context = question.input_tokens + question.output_tokens / 2;
  const std::int64_t blocks = std::max(prompt, context) / kBlockTokens + 1;
  BUNDLE_TRY(const auto cache,
             device.make_kv_cache(loaded->kv_shape(DType::kF16, kBlockTokens), blocks));
  std::vector<std::int32_t> table;
  for (std::int64_t i = 0; i < blocks; ++i) table.push_back(static_cast<std::int32_t>(i));
  const auto tokens = made_up_tokens(prompt, loaded->config().vocab_size, 1);
  std::vector<float> logits;
  const auto run = [&](const model::SequenceChunk& chunk) {
    return median_time([&] { loaded->forward({&chunk, 1}, *cache, logits); });
  };
  Times times;
  times.prefill = run({tokens, 0, table, 1, prompt});
  // A different token each time: a mixture's next token finds other experts, too, not cached ones.
  std::size_t at = 0;
  times.decode = median_time([&] {
    const model::SequenceChunk chunk{std::span(tokens).subspan(at++ % tokens.size(), 1),
                                     context - 1, table, 1, 1};
    loaded->forward({&chunk, 1}, *cache, logits);
  });
  times.prefill *= static_cast<double>(question.input_tokens) / static_cast<double>(prompt);
  return times;
}

/// From the times of two depths to that of `layers`: what one layer adds, so often.
double extended(double fewer, double more, const Depths& depths, std::int64_t layers) {
  if (depths.fewer == 0) return more;
  const double each = (more - fewer) / static_cast<double>(depths.more - depths.fewer);
  return more + std::max(0.0, each) * static_cast<double>(layers - depths.more);
}

}  // namespace

Result<HereSpeed> measure_model_here(const format::Checkpoint& checkpoint,
                                     const sizing::SizedModel& model,
                                     const HereQuestion& question) {
  BUNDLE_TRY(const auto device, kernels::make_cpu_device({question.threads, {}}));
  const Depths depths = depths_of(model);
  const std::int64_t layers = model.shape.config.num_layers;
  Times fewer;
  if (depths.fewer > 0) {
    BUNDLE_TRY(fewer, time_layers(checkpoint, *device, question, depths.fewer));
  }
  BUNDLE_TRY(const Times more, time_layers(checkpoint, *device, question, depths.more));
  HereSpeed speed;
  speed.device = std::string(device->name());
  speed.layers_measured = depths.more;
  speed.ttft = extended(fewer.prefill, more.prefill, depths, layers);
  speed.decode_tok_s = 1 / extended(fewer.decode, more.decode, depths, layers);
  finish_speed(model, question, speed);
  return speed;
}

}  // namespace bundle::cli
