#include "runtime/sizing/kv_cache.h"

#include <algorithm>

#include "base/kv_type.h"

namespace bundle::sizing {
namespace {

constexpr KvType kTypes[] = {{"bf16", 2}, {"f16", 2}, {"fp8", 1}, {"int8", 1, 2}, {"f32", 4}};
constexpr std::int64_t kIndexerScaleBytes = 4;

bool sees_all(const format::ModelConfig& config, std::int64_t layer) {
  const auto& full = config.full_attention_layers;
  return config.sliding_window == 0 || std::binary_search(full.begin(), full.end(), layer);
}

/// Of one position and layer.
std::int64_t layer_bytes(const ModelShape& shape, const Layout& layout, const KvType& type) {
  const format::ModelConfig& config = shape.config;
  if (config.mla) {
    const std::int64_t latent = config.mla->kv_lora_rank + config.mla->qk_rope_head_dim;
    // The indexer's keys are FP8 with a float32 scale, whatever the cache's type.
    const std::int64_t key =
        shape.indexer.heads == 0 ? 0 : shape.indexer.head_dim + kIndexerScaleBytes;
    return type.vector_bytes(latent) + key;
  }
  const std::int64_t ranks = layout.attention_ranks();
  const std::int64_t heads = config.num_kv_heads / ranks + (config.num_kv_heads % ranks != 0);
  return 2 * heads * type.vector_bytes(config.head_dim);
}

}  // namespace

std::int64_t KvType::vector_bytes(std::int64_t elements) const {
  const std::int64_t groups = (elements + kKvScaleGroup - 1) / kKvScaleGroup;
  return elements * bytes + groups * group_bytes;
}

Result<KvType> kv_type(std::string_view name) {
  for (const KvType& type : kTypes) {
    if (type.name == name) return type;
  }
  return not_found("no type of cache '" + std::string(name) + "'", "--kv-type",
                   "Known: bf16, f16, fp8, int8, f32.");
}

std::uint64_t rank_kv_bytes(const ModelShape& shape, const Layout& layout, const KvType& type,
                            std::int64_t tokens) {
  const format::ModelConfig& config = shape.config;
  const auto each = static_cast<std::uint64_t>(layer_bytes(shape, layout, type));
  std::uint64_t most = 0;
  for (std::int64_t stage = 0; stage < layout.pp; ++stage) {
    const LayerRange range = stage_layers(config.num_layers, layout.pp, stage);
    std::uint64_t positions = 0;
    for (std::int64_t layer = range.first; layer < range.first + range.count; ++layer) {
      positions += static_cast<std::uint64_t>(
          sees_all(config, layer) ? tokens : std::min(tokens, config.sliding_window));
    }
    most = std::max(most, positions * each);
  }
  return most;
}

}  // namespace bundle::sizing
