#include "runtime/model/latent_attention.h"

#include <cmath>

#include "runtime/model/latent_heads.h"

namespace bundle::model {
namespace {

using kernels::Tensor;

kernels::Vector view(const kernels::DeviceVector& values) { return {values.data(), values.size()}; }

class LatentAttention final : public AttentionLayer {
 public:
  kernels::LatentShape shape;
  const Rope* rope = nullptr;
  float eps = 0.0f;
  std::int64_t layer = 0;
  kernels::DeviceVector norm, query_norm, latent_norm;
  Linear query_down;  // without a weight: the query has no low-rank step
  Linear query, latent, output;
  LatentHeads heads;
  Partners partners;

  Tensor forward(const Step& step, Tensor x, const KeptRows* kept) const override {
    kernels::Device& device = step.device;
    Tensor q = make_queries(step, x);
    const Tensor latents = take(step.scratch, x.rows, shape.latent_dim());
    device.norm_matmul(x, view(norm), eps, *latent.weight, latent.bias_data(), latents);
    device.latent_rope_and_store(q, latents, shape, rope->table(), view(latent_norm), eps,
                                 step.slices, step.cache, layer);
    if (kept == nullptr) return attend(step, step.slices, q, x);
    const auto count = static_cast<std::int64_t>(kept->rows.size());
    const Tensor kept_x = take(step.lasting, count, x.cols);
    const Tensor kept_q = take(step.scratch, count, q.cols);
    device.gather_rows(x, kept->rows, kept_x);
    device.gather_rows(q, kept->rows, kept_q);
    return attend(step, kept->slices, kept_q, kept_x);
  }

 private:
  Tensor make_queries(const Step& step, Tensor x) const {
    const Tensor q = take(step.scratch, x.rows, query.weight->rows());
    if (!query_down.weight) {
      step.device.norm_matmul(x, view(norm), eps, *query.weight, nullptr, q);
      return q;
    }
    const Tensor low = take(step.scratch, x.rows, query_down.weight->rows());
    step.device.norm_matmul(x, view(norm), eps, *query_down.weight, query_down.bias_data(), low);
    step.device.norm_matmul(low, view(query_norm), eps, *query.weight, nullptr, q);
    return q;
  }

  Tensor attend(const Step& step, std::span<const kernels::Slice> slices, Tensor q,
                Tensor x) const {
    if (x.rows == 0) return x;
    const Tensor mixed = take(step.scratch, x.rows, shape.heads * shape.value_dim);
    step.device.latent_attention(q, shape, heads.weights(), slices, step.cache, layer, mixed);
    step.device.matmul(*output.weight, mixed, output.bias_data(), partners.first(), x);
    partners.add_up(x);
    return x;
  }
};

/// Of `heads` of the model's heads.
kernels::LatentShape shape_of(const format::ModelConfig& config, std::int64_t heads) {
  const format::MlaConfig& mla = *config.mla;
  kernels::LatentShape shape;
  shape.heads = heads;
  shape.nope_dim = mla.qk_nope_head_dim;
  shape.rope_dim = mla.qk_rope_head_dim;
  shape.rank = mla.kv_lora_rank;
  shape.value_dim = mla.v_head_dim;
  shape.scale = static_cast<float>(latent_score_factor(config.rope) /
                                   std::sqrt(static_cast<double>(config.head_dim)));
  return shape;
}

Status load_queries(WeightLoader& weights, const format::ModelConfig& config,
                    const std::string& self, Bias bias, LatentAttention& attention) {
  const std::int64_t rows = config.num_heads * config.head_dim;
  const Part part = weights.placement().heads(config).times(config.head_dim);
  const std::int64_t rank = config.mla->q_lora_rank;
  if (rank == 0) {
    BUNDLE_TRY(attention.query, weights.linear({self + "q_proj", rows, part}, config.hidden_size));
    return {};
  }
  BUNDLE_TRY(attention.query_down,
             weights.linear({self + "q_a_proj", rank}, config.hidden_size, bias));
  BUNDLE_TRY(attention.query_norm, weights.device_vector(self + "q_a_layernorm.weight", rank));
  BUNDLE_TRY(attention.query, weights.linear({self + "q_b_proj", rows, part}, rank));
  return {};
}

}  // namespace

Result<std::unique_ptr<AttentionLayer>> load_latent_attention(WeightLoader& weights,
                                                              const format::ModelConfig& config,
                                                              const Rope& rope,
                                                              const LayerPlace& place) {
  auto attention = std::make_unique<LatentAttention>();
  const std::string& prefix = place.prefix;
  const Part own = weights.placement().heads(config);
  attention->shape = shape_of(config, own.count);
  attention->partners = weights.attention();
  attention->rope = &rope;
  attention->eps = static_cast<float>(config.rms_norm_eps);
  attention->layer = place.cache_layer;
  const std::string self = prefix + "self_attn.";
  const Bias bias = config.attention_bias ? Bias::kRequired : Bias::kNone;
  const kernels::LatentShape& shape = attention->shape;
  BUNDLE_TRY(attention->norm,
             weights.device_vector(prefix + "input_layernorm.weight", config.hidden_size));
  BUNDLE_CHECK(load_queries(weights, config, self, bias, *attention));
  BUNDLE_TRY(attention->latent, weights.linear({self + "kv_a_proj_with_mqa", shape.latent_dim()},
                                               config.hidden_size, bias));
  BUNDLE_TRY(attention->latent_norm,
             weights.device_vector(self + "kv_a_layernorm.weight", shape.rank));
  BUNDLE_TRY(attention->heads,
             LatentHeads::load(weights, shape, {own.first, config.num_heads}, self));
  BUNDLE_TRY(
      attention->output,
      weights.linear({self + "o_proj", config.hidden_size}, config.num_heads * shape.value_dim,
                     attention->partners.first() ? bias : Bias::kNone, own.times(shape.value_dim)));
  return std::unique_ptr<AttentionLayer>(std::move(attention));
}

}  // namespace bundle::model
