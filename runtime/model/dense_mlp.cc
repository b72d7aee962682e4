#include "runtime/model/dense_mlp.h"

namespace bundle::model {
namespace {

using kernels::Tensor;

class DenseMlp final : public FeedForwardLayer {
 public:
  float eps = 0.0f;
  kernels::DeviceVector norm;
  Linear gate_up, down;  // without weights: other ranks have all of it
  Partners partners;

  void forward(const Step& step, Tensor x) const override {
    if (down.weight) {
      compute(step, x);
    } else if (!partners.first()) {
      step.device.clear(x);
    }
    partners.add_up(x);
  }

 private:
  void compute(const Step& step, Tensor x) const {
    const Tensor both = take(step.scratch, x.rows, gate_up.weight->rows());
    const Tensor active = take(step.scratch, x.rows, down.weight->cols());
    step.device.gated_matmul(x, {norm.data(), x.cols}, eps, *gate_up.weight, gate_up.bias_data(),
                             both, active);
    step.device.matmul(*down.weight, active, down.bias_data(), partners.first(), x);
  }
};

}  // namespace

Result<std::unique_ptr<FeedForwardLayer>> load_dense_mlp(WeightLoader& weights,
                                                         const format::ModelConfig& config,
                                                         const std::string& prefix) {
  auto mlp = std::make_unique<DenseMlp>();
  mlp->eps = static_cast<float>(config.rms_norm_eps);
  BUNDLE_TRY(mlp->norm,
             weights.device_vector(prefix + "post_attention_layernorm.weight", config.hidden_size));
  mlp->partners = weights.stage();
  const std::string down = prefix + "mlp.down_proj";
  const std::int64_t width = config.intermediate_size;
  const Part part = weights.placement().of_stage(width, weights.column_unit(down));
  const LinearPart gate_up[] = {{prefix + "mlp.gate_proj", width, part},
                                {prefix + "mlp.up_proj", width, part}};
  // The first rank has a part wherever there is one, so a bias is never lost.
  if (part.count == 0) return std::unique_ptr<FeedForwardLayer>(std::move(mlp));
  BUNDLE_TRY(mlp->gate_up, weights.linear(gate_up, config.hidden_size, Bias::kIfPublished));
  const Bias bias = mlp->partners.first() ? Bias::kIfPublished : Bias::kNone;
  BUNDLE_TRY(mlp->down, weights.linear({down, config.hidden_size}, width, bias, part));
  return std::unique_ptr<FeedForwardLayer>(std::move(mlp));
}

}  // namespace bundle::model
