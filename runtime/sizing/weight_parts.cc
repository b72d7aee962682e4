#include "runtime/sizing/weight_parts.h"

#include <algorithm>

namespace bundle::sizing {
namespace {

/// Bytes of a part on the rank that holds most of it.
std::uint64_t share(const WeightPart& part, const ModelShape& shape, const Layout& layout) {
  const auto over = [&](std::int64_t pieces) {
    const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>(1, pieces));
    return part.bytes / n + (part.bytes % n != 0 ? 1 : 0);
  };
  switch (part.role) {
    case Role::kNorm:
    case Role::kRouter:
    case Role::kLatentDown:
      return part.bytes;
    case Role::kKeyValue:
      return over(std::min(layout.attention_ranks(), shape.config.num_kv_heads));
    case Role::kExpert: {
      // Whole experts go to the ranks, the first ones may get one more.
      const std::int64_t experts = shape.config.moe ? shape.config.moe->num_experts : 1;
      const std::int64_t most = experts / layout.ep + (experts % layout.ep != 0 ? 1 : 0);
      const std::int64_t ranks_of_each = layout.tp / layout.ep;
      const double part_of_all =
          static_cast<double>(most) / static_cast<double>(experts * ranks_of_each);
      return static_cast<std::uint64_t>(static_cast<double>(part.bytes) * part_of_all);
    }
    default:
      return over(layout.attention_ranks());
  }
}

/// The stage that holds a part; a tied embedding serves at both ends.
bool on_stage(const WeightPart& part, const ModelShape& shape, const Layout& layout,
              std::int64_t stage) {
  const bool last = stage == layout.pp - 1;
  if (part.layer >= 0) {
    const LayerRange range = stage_layers(shape.config.num_layers, layout.pp, stage);
    return part.layer >= range.first && part.layer < range.first + range.count;
  }
  if (part.role != Role::kEmbedding) return last;
  return stage == 0 || (last && shape.config.tied_embeddings);
}

}  // namespace

std::map<std::string_view, StoredTotal> totals_by_type(const std::vector<WeightPart>& parts) {
  std::map<std::string_view, StoredTotal> totals;
  for (const WeightPart& part : parts) {
    totals[part.type].elements += part.elements;
    totals[part.type].bytes += part.bytes;
  }
  return totals;
}

std::uint64_t total_bytes(const std::vector<WeightPart>& parts, bool prediction) {
  std::uint64_t bytes = 0;
  for (const WeightPart& part : parts) {
    if (prediction || !part.prediction) bytes += part.bytes;
  }
  return bytes;
}

double token_bytes(const std::vector<WeightPart>& parts, const format::ModelConfig& config) {
  const double chosen = config.moe ? static_cast<double>(config.moe->num_experts_per_token) /
                                         static_cast<double>(config.moe->num_experts)
                                   : 1;
  double bytes = 0;
  for (const WeightPart& part : parts) {
    const bool looked_up = part.role == Role::kEmbedding && !config.tied_embeddings;
    if (part.prediction || looked_up) continue;
    bytes += static_cast<double>(part.bytes) * (part.role == Role::kExpert ? chosen : 1);
  }
  return bytes;
}

std::uint64_t rank_bytes(const std::vector<WeightPart>& parts, const ModelShape& shape,
                         const Layout& layout) {
  std::vector<std::uint64_t> stages(static_cast<std::size_t>(layout.pp), 0);
  for (const WeightPart& part : parts) {
    if (part.prediction) continue;
    const std::uint64_t bytes = share(part, shape, layout);
    for (std::int64_t stage = 0; stage < layout.pp; ++stage) {
      if (on_stage(part, shape, layout, stage)) stages[static_cast<std::size_t>(stage)] += bytes;
    }
  }
  return *std::max_element(stages.begin(), stages.end());
}

std::uint64_t replicated_bytes(const std::vector<WeightPart>& parts, const Layout& layout) {
  std::uint64_t bytes = 0;
  for (const WeightPart& part : parts) {
    const bool everywhere =
        part.role == Role::kNorm || part.role == Role::kRouter || part.role == Role::kLatentDown;
    if (everywhere && !part.prediction) bytes += part.bytes;
  }
  return bytes / static_cast<std::uint64_t>(layout.pp);
}

}  // namespace bundle::sizing
