#include "runtime/model/grouped_attention.h"

#include <algorithm>
#include <cmath>

namespace bundle::model {
namespace {

using kernels::Tensor;

kernels::Vector view(const kernels::DeviceVector& values) { return {values.data(), values.size()}; }

class GroupedAttention final : public AttentionLayer {
 public:
  kernels::AttentionShape shape;
  const Rope* rope = nullptr;
  float eps = 0.0f;
  std::int64_t layer = 0;
  kernels::DeviceVector norm, q_norm, k_norm;
  Linear qkv, output;
  Partners partners;

  Tensor forward(const Step& step, Tensor x, const KeptRows* kept) const override {
    kernels::Device& device = step.device;
    Tensor heads = take(step.scratch, x.rows, qkv.weight->rows());
    device.norm_matmul(x, view(norm), eps, *qkv.weight, qkv.bias_data(), heads);
    device.rope_and_store(heads, shape, rope->table(), view(q_norm), view(k_norm), eps, step.slices,
                          step.cache, layer);
    if (kept == nullptr) return attend(step, step.slices, heads, x);
    const auto count = static_cast<std::int64_t>(kept->rows.size());
    const Tensor kept_x = take(step.lasting, count, x.cols);
    const Tensor kept_heads = take(step.scratch, count, heads.cols);
    device.gather_rows(x, kept->rows, kept_x);
    device.gather_rows(heads, kept->rows, kept_heads);
    return attend(step, kept->slices, kept_heads, kept_x);
  }

 private:
  Tensor attend(const Step& step, std::span<const kernels::Slice> slices, Tensor heads,
                Tensor x) const {
    if (x.rows == 0) return x;
    const Tensor mixed = take(step.scratch, x.rows, shape.heads * shape.head_dim);
    step.device.attention(heads, shape, slices, step.cache, layer, mixed);
    step.device.matmul(*output.weight, mixed, output.bias_data(), partners.first(), x);
    partners.add_up(x);
    return x;
  }
};

kernels::AttentionShape shape_of(const format::ModelConfig& config, const Placement& placement,
                                 std::int64_t layer) {
  kernels::AttentionShape shape;
  shape.heads = placement.heads(config).count;
  shape.kv_heads = placement.kv_heads(config).count;
  shape.head_dim = config.head_dim;
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  const auto& full = config.full_attention_layers;
  const bool sees_all = std::binary_search(full.begin(), full.end(), layer);
  shape.sliding_window = sees_all ? 0 : config.sliding_window;
  return shape;
}

}  // namespace

Result<std::unique_ptr<AttentionLayer>> load_grouped_attention(WeightLoader& weights,
                                                               const format::ModelConfig& config,
                                                               const Rope& rope,
                                                               const LayerPlace& place) {
  auto attention = std::make_unique<GroupedAttention>();
  const std::string& prefix = place.prefix;
  const Placement& placement = weights.placement();
  attention->shape = shape_of(config, placement, place.number);
  attention->partners = weights.attention();
  attention->rope = &rope;
  attention->eps = static_cast<float>(config.rms_norm_eps);
  attention->layer = place.cache_layer;
  BUNDLE_TRY(attention->norm,
             weights.device_vector(prefix + "input_layernorm.weight", config.hidden_size));
  const std::string self = prefix + "self_attn.";
  if (config.qk_norm) {
    BUNDLE_TRY(attention->q_norm, weights.device_vector(self + "q_norm.weight", config.head_dim));
    BUNDLE_TRY(attention->k_norm, weights.device_vector(self + "k_norm.weight", config.head_dim));
  }
  const std::int64_t q_rows = config.num_heads * config.head_dim;
  const std::int64_t kv_rows = config.num_kv_heads * config.head_dim;
  const Part q_part = placement.heads(config).times(config.head_dim);
  const Part kv_part = placement.kv_heads(config).times(config.head_dim);
  const LinearPart qkv[] = {{self + "q_proj", q_rows, q_part},
                            {self + "k_proj", kv_rows, kv_part},
                            {self + "v_proj", kv_rows, kv_part}};
  const bool biased = config.attention_bias;
  BUNDLE_TRY(attention->qkv,
             weights.linear(qkv, config.hidden_size, biased ? Bias::kRequired : Bias::kNone));
  const bool adds_bias = biased && attention->partners.first();
  BUNDLE_TRY(attention->output,
             weights.linear({self + "o_proj", config.hidden_size}, q_rows,
                            adds_bias ? Bias::kIfPublished : Bias::kNone, q_part));
  return std::unique_ptr<AttentionLayer>(std::move(attention));
}

}  // namespace bundle::model
