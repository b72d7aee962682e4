#include <array>
#include <charconv>
#include <tuple>

#include "runtime/sizing/weight_parts.h"

namespace bundle::sizing {
namespace {

struct Pattern {
  std::string_view text;  // a piece of the name
  Role role;
};

// The first that a name contains decides. Hugging Face's names, then GGUF's.
constexpr auto kPatterns = std::to_array<Pattern>({
    {"shared_head.head", Role::kHead},
    {"norm", Role::kNorm},
    {".indexer.", Role::kLatentDown},
    {".q_a_proj", Role::kLatentDown},
    {".kv_a_proj", Role::kLatentDown},
    {".q_b_proj", Role::kLatentUp},
    {".kv_b_proj", Role::kLatentUp},
    {".k_b_proj", Role::kLatentUp},
    {".v_b_proj", Role::kLatentUp},
    {".q_proj", Role::kQuery},
    {".k_proj", Role::kKeyValue},
    {".v_proj", Role::kKeyValue},
    {".o_proj", Role::kAttentionOutput},
    {"shared_expert", Role::kSharedExpert},
    {".experts.", Role::kExpert},
    {".mlp.gate.", Role::kRouter},
    {"block_sparse_moe.gate.", Role::kRouter},
    {"embed_tokens", Role::kEmbedding},
    {"lm_head", Role::kHead},
    {"token_embd", Role::kEmbedding},
    {"attn_q_a", Role::kLatentDown},
    {"attn_kv_a", Role::kLatentDown},
    {"attn_q_b", Role::kLatentUp},
    {"attn_kv_b", Role::kLatentUp},
    {"attn_k_b", Role::kLatentUp},
    {"attn_v_b", Role::kLatentUp},
    {"attn_output", Role::kAttentionOutput},
    {"attn_q", Role::kQuery},
    {"attn_k", Role::kKeyValue},
    {"attn_v", Role::kKeyValue},
    {"ffn_gate_inp", Role::kRouter},
    {"exp_probs_b", Role::kRouter},
    {"_shexp", Role::kSharedExpert},
    {"_exps", Role::kExpert},
    {"rope_freqs", Role::kNorm},
});

Role role_of(std::string_view name) {
  if (name == "output.weight" || name == "output.bias") return Role::kHead;
  for (const Pattern& pattern : kPatterns) {
    if (name.find(pattern.text) != std::string_view::npos) return pattern.role;
  }
  return Role::kMlp;
}

/// The number behind "model.layers." or "blk.", else -1.
std::int64_t layer_of(std::string_view name) {
  for (const std::string_view prefix : {"model.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    std::int64_t layer = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
    if (error == std::errc() && layer >= 0) return layer;
  }
  return -1;
}

}  // namespace

std::vector<WeightPart> stored_parts(const format::Checkpoint& checkpoint,
                                     const format::ModelConfig& config) {
  std::map<std::tuple<Role, std::int64_t, std::string_view>, WeightPart> groups;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    const Role role = role_of(name);
    const std::int64_t layer = layer_of(name);
    const std::string_view type = dtype_info(tensor.type).name;
    WeightPart& part = groups[{role, layer, type}];
    part.role = role;
    part.layer = layer;
    part.type = type;
    part.prediction = layer >= config.num_layers;
    part.elements += static_cast<std::uint64_t>(tensor.elements());
    part.bytes += tensor.data.size();
  }
  std::vector<WeightPart> parts;
  for (const auto& [unused, part] : groups) parts.push_back(part);
  return parts;
}

}  // namespace bundle::sizing
