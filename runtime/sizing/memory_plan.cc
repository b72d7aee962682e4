#include "runtime/sizing/memory_plan.h"

#include <algorithm>
#include <limits>

#include "base/kv_type.h"
#include "base/text.h"
#include "runtime/sizing/parameters.h"

namespace bundle::sizing {
namespace {

constexpr std::uint64_t kMaxTokens = std::numeric_limits<std::int64_t>::max();

/// a + b, or the largest number.
std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

}  // namespace

std::uint64_t kv_elements_per_token(const format::ModelConfig& config) {
  const std::int64_t layer = config.mla ? config.mla->kv_lora_rank + config.mla->qk_rope_head_dim
                                        : 2 * config.num_kv_heads * config.head_dim;
  return static_cast<std::uint64_t>(config.num_layers * layer);
}

std::uint64_t kv_bytes_per_token(const format::ModelConfig& config, DType kv_type) {
  const std::int64_t vectors = config.mla ? 1 : 2 * config.num_kv_heads;
  const std::int64_t elements =
      config.mla ? config.mla->kv_lora_rank + config.mla->qk_rope_head_dim : config.head_dim;
  return static_cast<std::uint64_t>(config.num_layers * vectors *
                                    kv_vector_bytes(kv_type, elements));
}

Result<std::uint64_t> weight_bytes(const format::ModelConfig& config, DType type) {
  BUNDLE_TRY(const Parameters parameters, count_parameters(config));
  const DTypeInfo& info = dtype_info(type);
  const auto block = static_cast<std::uint64_t>(info.block);
  const std::uint64_t blocks = parameters.total / block + (parameters.total % block != 0 ? 1 : 0);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(blocks, static_cast<std::uint64_t>(info.bytes), &bytes)) {
    return bad_input("the model's sizes multiply beyond any memory");
  }
  return bytes;
}

std::uint64_t host_activation_bytes(const format::ModelConfig& config, std::int64_t step_tokens,
                                    std::int64_t rows) {
  const std::int64_t heads = config.num_heads * config.head_dim;
  const std::int64_t attention = 2 * heads + 2 * config.num_kv_heads * config.head_dim;
  const std::int64_t mlp = 3 * config.intermediate_size;
  const auto floats = static_cast<double>(step_tokens) *
                          static_cast<double>(config.hidden_size + std::max(attention, mlp)) +
                      2.0 * static_cast<double>(std::min(rows, step_tokens)) *
                          static_cast<double>(config.vocab_size);
  constexpr double kMost = 9e18;
  return static_cast<std::uint64_t>(std::min(floats * sizeof(float), kMost));
}

Result<MemoryPlan> plan_memory(const HostNeeds& needs, std::uint64_t memory) {
  MemoryPlan plan;
  plan.weights = needs.weights;
  plan.activations = needs.activations;
  const std::uint64_t fixed = saturating_add(needs.weights, needs.activations);
  plan.left_for_kv = memory - std::min(memory, fixed);
  if (needs.kv_per_token == 0 || plan.left_for_kv < needs.kv_per_token) {
    const std::uint64_t least = saturating_add(fixed, needs.kv_per_token);
    return failed("the model does not fit: it needs at least " + human_bytes(least) + ", and " +
                      human_bytes(memory) + " are there",
                  {}, "Use a machine with more memory, or a smaller quantization.");
  }
  plan.kv_tokens =
      static_cast<std::int64_t>(std::min(plan.left_for_kv / needs.kv_per_token, kMaxTokens));
  return plan;
}

}  // namespace bundle::sizing
