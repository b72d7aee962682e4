#include "runtime/model/expert_mlp.h"

#include <algorithm>

namespace bundle::model {
namespace {

using kernels::Tensor;

class ExpertMlp final : public FeedForwardLayer {
 public:
  float eps = 0.0f;
  kernels::RouterShape shape;
  kernels::DeviceVector norm, bias;
  Linear router;
  LoadedExperts experts;
  std::int64_t first_expert = 0;
  Linear shared_gate_up, shared_down;  // without weights: no shared experts, or none of them here
  Partners partners;

  void forward(const Step& step, Tensor x) const override {
    kernels::Device& device = step.device;
    const Tensor normed = take(step.scratch, x.rows, x.cols);
    const Tensor logits = take(step.scratch, x.rows, shape.experts);
    device.rms_norm(x, {norm.data(), x.cols}, eps, normed);
    device.matmul(*router.weight, normed, nullptr, false, logits);
    const kernels::Routing routing = take_routing(step.scratch, x.rows);
    device.route(logits, shape, bias.data(), routing);
    if (!partners.first()) device.clear(x);
    device.run_experts(*experts.experts, normed, routing, x);
    if (shared_down.weight) add_shared(step, normed, x);
    partners.add_up(x);
  }

 private:
  kernels::Routing take_routing(kernels::Arena& arena, std::int64_t rows) const {
    const auto count = static_cast<std::size_t>(rows * shape.top_k);
    return {static_cast<std::int32_t*>(arena.take(count * sizeof(std::int32_t))),
            static_cast<float*>(arena.take(count * sizeof(float))), rows, shape.top_k,
            first_expert};
  }

  void add_shared(const Step& step, Tensor normed, Tensor x) const {
    const Tensor both = take(step.scratch, x.rows, shared_gate_up.weight->rows());
    const Tensor active = take(step.scratch, x.rows, shared_down.weight->cols());
    step.device.gated_matmul(normed, {}, 0.0f, *shared_gate_up.weight, nullptr, both, active);
    step.device.matmul(*shared_down.weight, active, nullptr, true, x);
  }
};

/// As DeepSeek-V2's own code weighs experts: it normalizes more than one, and scales what it has
/// not normalized. Everyone else's does the one and then the other.
void weigh_as_v2(kernels::RouterShape& shape) {
  shape.normalize = shape.normalize && shape.top_k > 1;
  if (shape.normalize) shape.scale = 1.0f;
}

kernels::RouterShape router_shape(const format::ModelConfig& config) {
  const format::MoeConfig& moe = *config.moe;
  kernels::RouterShape shape;
  shape.experts = moe.num_experts;
  shape.top_k = moe.num_experts_per_token;
  if (moe.topk_method != "greedy") {
    shape.groups = moe.num_groups;
    shape.top_groups = moe.top_groups;
  }
  const std::int64_t group_size = moe.num_experts / shape.groups;
  if (moe.topk_method == "noaux_tc") shape.group_best = std::min<std::int64_t>(2, group_size);
  shape.sigmoid = moe.scoring == "sigmoid";
  shape.normalize = moe.norm_topk_prob;
  shape.scale = static_cast<float>(moe.routed_scaling_factor);
  if (config.architecture == "DeepseekV2ForCausalLM") weigh_as_v2(shape);
  return shape;
}

/// Mixtral names its mixture after the paper that it follows, the others after its place.
struct MixtureNames {
  std::string router;
  std::string experts;
  const char* gate;
  const char* up;
  const char* down;
};

MixtureNames names_of(const format::ModelConfig& config, const std::string& prefix) {
  if (config.architecture == "MixtralForCausalLM") {
    const std::string mixture = prefix + "block_sparse_moe.";
    return {mixture + "gate", mixture + "experts.", ".w1", ".w3", ".w2"};
  }
  const std::string mixture = prefix + "mlp.";
  return {mixture + "gate", mixture + "experts.", ".gate_proj", ".up_proj", ".down_proj"};
}

ExpertNames expert_names(const MixtureNames& names, std::int64_t number) {
  const std::string expert = names.experts + std::to_string(number);
  return {expert + names.gate, expert + names.up, expert + names.down};
}

/// The experts that this rank has, or its piece of each.
Status load_routed(WeightLoader& weights, const format::ModelConfig& config,
                   const MixtureNames& names, ExpertMlp& mlp) {
  const std::int64_t width = config.moe->intermediate_size;
  const Part own = weights.placement().experts(config);
  std::vector<ExpertNames> experts;
  for (std::int64_t e = 0; e < config.moe->num_experts; ++e) {
    const ExpertNames expert = expert_names(names, e);
    if (e >= own.first && e < own.first + own.count) {
      experts.push_back(expert);
    } else {
      for (const auto& name : {expert.gate, expert.up, expert.down}) weights.leave_out_matrix(name);
    }
  }
  const std::int64_t unit = weights.column_unit(experts.front().down);
  const Part piece = weights.placement().of_expert(width, unit);
  if (piece.count == 0) {
    return Error{ErrorCode::kUsage,
                 "experts of width " + std::to_string(width) + " do not divide into pieces of " +
                     std::to_string(unit) + ", the block of their weights, for every rank",
                 experts.front().down, "Spread experts over more ranks: runtime.parallel.expert."};
  }
  mlp.first_expert = own.first;
  BUNDLE_TRY(mlp.experts, weights.experts(experts, config.hidden_size, width, piece));
  return {};
}

/// Every row goes through the shared experts: they are divided as a dense layer is.
Status load_shared(WeightLoader& weights, const format::ModelConfig& config,
                   const std::string& prefix, ExpertMlp& mlp) {
  const std::int64_t width = config.moe->num_shared_experts * config.moe->intermediate_size;
  if (width == 0) return {};
  const std::string shared = prefix + "mlp.shared_experts.", down = shared + "down_proj";
  const Part part = weights.placement().of_stage(width, weights.column_unit(down));
  if (part.count == 0) return {};
  const LinearPart gate_up[] = {{shared + "gate_proj", width, part},
                                {shared + "up_proj", width, part}};
  BUNDLE_TRY(mlp.shared_gate_up, weights.linear(gate_up, config.hidden_size));
  BUNDLE_TRY(mlp.shared_down, weights.linear({down, config.hidden_size}, width, Bias::kNone, part));
  return {};
}

}  // namespace

Result<std::unique_ptr<FeedForwardLayer>> load_expert_mlp(WeightLoader& weights,
                                                          const format::ModelConfig& config,
                                                          const std::string& prefix) {
  const format::MoeConfig& moe = *config.moe;
  const MixtureNames names = names_of(config, prefix);
  auto mlp = std::make_unique<ExpertMlp>();
  mlp->eps = static_cast<float>(config.rms_norm_eps);
  mlp->shape = router_shape(config);
  BUNDLE_TRY(mlp->norm,
             weights.device_vector(prefix + "post_attention_layernorm.weight", config.hidden_size));
  // In float32, as the reference does: a rounded score may choose another expert.
  BUNDLE_TRY(mlp->router, weights.wide_linear({names.router, moe.num_experts}, config.hidden_size));
  if (moe.topk_method == "noaux_tc") {
    BUNDLE_TRY(mlp->bias,
               weights.device_vector(prefix + "mlp.gate.e_score_correction_bias", moe.num_experts));
  }
  mlp->partners = weights.stage();
  BUNDLE_CHECK(load_routed(weights, config, names, *mlp));
  BUNDLE_CHECK(load_shared(weights, config, prefix, *mlp));
  return std::unique_ptr<FeedForwardLayer>(std::move(mlp));
}

}  // namespace bundle::model
