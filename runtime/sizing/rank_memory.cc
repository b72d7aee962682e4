#include "runtime/sizing/rank_memory.h"

#include <algorithm>

namespace bundle::sizing {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::uint64_t gib(double value) { return static_cast<std::uint64_t>(value * kGiB); }

}  // namespace

std::uint64_t activation_bytes(const ModelShape& shape, const Layout& layout,
                               const EngineProfile& profile, std::int64_t tokens) {
  const format::ModelConfig& config = shape.config;
  const auto count = static_cast<double>(tokens);
  const auto hidden = static_cast<double>(config.hidden_size);
  double bytes = profile.residual_copies * count * hidden * 2;
  if (config.moe) {
    // Every token is copied once for each of its experts, and comes back; gate and up lie between.
    const auto chosen = static_cast<double>(config.moe->num_experts_per_token);
    const double inner =
        2.0 * static_cast<double>(config.moe->intermediate_size) / static_cast<double>(layout.tp);
    bytes += count * chosen * (hidden + inner) * 2;
  }
  bytes += profile.sampler_copies * static_cast<double>(profile.sampler_rows) *
           static_cast<double>(config.vocab_size) * 4;
  return static_cast<std::uint64_t>(bytes);
}

RankMemory rank_memory(const std::vector<WeightPart>& parts, const ModelShape& shape,
                       const Layout& layout, double usable_gib, const EngineProfile& profile,
                       std::int64_t step_tokens) {
  RankMemory memory;
  memory.usable = gib(usable_gib);
  memory.weights = rank_bytes(parts, shape, layout);
  memory.replicated = replicated_bytes(parts, layout);
  memory.activations =
      activation_bytes(shape, layout, profile, step_tokens > 0 ? step_tokens : profile.step_tokens);
  constexpr std::uint64_t kGraphBytes = 2u << 20;
  memory.graphs = static_cast<std::uint64_t>(profile.graph_sequences) * kGraphBytes;
  memory.context =
      gib(profile.context_gib + profile.workspace_gib + profile.reserve_share * usable_gib);
  memory.exchange = layout.gpus() > 1 ? gib(profile.exchange_gib) : 0;
  const double share = profile.share;
  memory.budget = profile.share_of_rest ? memory.usable : gib(usable_gib * share);
  memory.left =
      static_cast<std::int64_t>(memory.budget) - static_cast<std::int64_t>(memory.needed());
  if (profile.share_of_rest && memory.left > 0) {
    memory.left = static_cast<std::int64_t>(static_cast<double>(memory.left) * share);
  }
  return memory;
}

std::int64_t kv_tokens(const RankMemory& memory, const ModelShape& shape, const Layout& layout,
                       const KvType& type, std::int64_t context) {
  if (memory.left <= 0 || context < 1) return 0;
  const double each = static_cast<double>(rank_kv_bytes(shape, layout, type, context)) /
                      static_cast<double>(context);
  return static_cast<std::int64_t>(static_cast<double>(memory.left) / each) * layout.dp;
}

}  // namespace bundle::sizing
