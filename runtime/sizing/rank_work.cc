#include <algorithm>
#include <initializer_list>
#include <set>

#include "runtime/sizing/step_time.h"

namespace bundle::sizing {
namespace {

MatrixWork& group_of(RankWork& work, Role role) {
  switch (role) {
    case Role::kHead:
      return work.head;
    case Role::kMlp:
    case Role::kSharedExpert:
      return work.mlp;
    case Role::kExpert:
      return work.experts;
    default:
      return work.attention;
  }
}

/// The share of a role's weights on one of the ranks of its stage.
double share_of(Role role, const ModelShape& shape, const Layout& layout) {
  switch (role) {
    case Role::kNorm:
    case Role::kRouter:
    case Role::kLatentDown:
      return 1;
    case Role::kKeyValue:
      return 1.0 /
             static_cast<double>(std::min(layout.attention_ranks(), shape.config.num_kv_heads));
    case Role::kExpert:
      return 1.0 / static_cast<double>(layout.tp);
    default:
      return 1.0 / static_cast<double>(layout.attention_ranks());
  }
}

/// A token looks up one row of the embedding; as the output matrix it is read whole.
bool is_multiplied(const WeightPart& part, const ModelShape& shape) {
  if (part.prediction) return false;
  return part.role != Role::kEmbedding || shape.config.tied_embeddings;
}

void add_parts(ModelWork& work, const std::vector<WeightPart>& parts, const ModelShape& shape,
               bool bytes) {
  for (const WeightPart& part : parts) {
    if (!is_multiplied(part, shape)) continue;
    const Role role = part.role == Role::kEmbedding ? Role::kHead : part.role;
    MatrixWork& sum = work.roles[static_cast<std::size_t>(role)];
    if (bytes) {
      sum.bytes += static_cast<double>(part.bytes);
    } else {
      sum.elements += static_cast<double>(part.elements);
    }
  }
}

void add_attention(RankWork& work, const ModelShape& shape) {
  const format::ModelConfig& config = shape.config;
  const double heads = static_cast<double>(config.num_heads * config.num_layers) /
                       static_cast<double>(work.layout.attention_ranks());
  if (!config.mla) {
    work.decode_flops = 4 * heads * static_cast<double>(config.head_dim);
    work.prefill_flops = work.decode_flops;
    return;
  }
  // Absorbed, every head works on the latent: scores over latent and rotary part, values over the
  // latent. A prompt is computed on the expanded keys and values.
  const format::MlaConfig& mla = *config.mla;
  work.decode_flops = 2 * heads * static_cast<double>(2 * mla.kv_lora_rank + mla.qk_rope_head_dim);
  work.prefill_flops = 2 * heads * static_cast<double>(config.head_dim + mla.v_head_dim);
}

/// How the products with most of a role's weights are computed.
std::string compute_of(const std::vector<WeightPart>& parts, std::initializer_list<Role> roles) {
  std::uint64_t most = 0;
  WeightFormat format;
  for (const WeightPart& part : parts) {
    if (std::find(roles.begin(), roles.end(), part.role) == roles.end()) continue;
    if (part.bytes <= most) continue;
    most = part.bytes;
    format.type = part.type;
  }
  return format.compute();
}

}  // namespace

ModelWork model_work(const std::vector<WeightPart>& parts, const ModelShape& shape) {
  ModelWork work;
  add_parts(work, parts, shape, true);
  // Elements from the shape alone: a packed or scaled matrix multiplies no more than a plain one.
  ModelShape plain = shape;
  plain.format = WeightFormat{};
  if (const auto elements = predicted_parts(plain)) add_parts(work, *elements, shape, false);
  std::set<std::int64_t> expert_layers;
  for (const WeightPart& part : parts) {
    if (part.role == Role::kExpert && !part.prediction) expert_layers.insert(part.layer);
  }
  work.expert_layers = static_cast<double>(expert_layers.size());
  work.attention_compute = compute_of(parts, {Role::kAttentionOutput});
  work.mlp_compute = compute_of(parts, {Role::kMlp, Role::kSharedExpert});
  work.expert_compute = compute_of(parts, {Role::kExpert});
  return work;
}

RankWork rank_work(const ModelWork& model, const ModelShape& shape, const Layout& layout,
                   const KvType& type, std::int64_t context) {
  RankWork work;
  work.layout = layout;
  work.layers = static_cast<double>(shape.config.num_layers);
  work.hidden = static_cast<double>(shape.config.hidden_size);
  for (std::size_t i = 0; i < kRoles; ++i) {
    const auto role = static_cast<Role>(i);
    const double share = share_of(role, shape, layout);
    MatrixWork& group = group_of(work, role);
    group.bytes += share * model.roles[i].bytes;
    group.elements += share * model.roles[i].elements;
  }
  add_attention(work, shape);
  work.expert_layers = model.expert_layers;
  if (shape.config.moe) {
    work.experts_each = static_cast<double>(shape.config.moe->num_experts);
    work.experts_chosen = static_cast<double>(shape.config.moe->num_experts_per_token);
  }
  // Over all stages; rank_kv_bytes gives the longest one.
  Layout one_stage = layout;
  one_stage.pp = 1;
  work.kv_token_bytes = static_cast<double>(rank_kv_bytes(shape, one_stage, type, context)) /
                        static_cast<double>(std::max<std::int64_t>(1, context));
  work.attention_compute = model.attention_compute;
  work.mlp_compute = model.mlp_compute;
  work.expert_compute = model.expert_compute;
  return work;
}

}  // namespace bundle::sizing
