#include "runtime/model/dense_mlp.h"

namespace bundle::model {
namespace {

using kernels::Tensor;

class DenseMlp final : public FeedForwardLayer {
 public:
  float eps = 0.0f;
  kernels::DeviceVector norm;
  Linear gate_up, down;

  void forward(const Step& step, Tensor x) const override {
    const Tensor both = take(step.scratch, x.rows, gate_up.weight->rows());
    const Tensor active = take(step.scratch, x.rows, down.weight->cols());
    step.device.norm_matmul(x, {norm.data(), x.cols}, eps, *gate_up.weight, gate_up.bias_data(),
                            both);
    step.device.silu_mul(both, active);
    step.device.matmul(*down.weight, active, down.bias_data(), true, x);
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
  const LinearPart gate_up[] = {{prefix + "mlp.gate_proj", config.intermediate_size},
                                {prefix + "mlp.up_proj", config.intermediate_size}};
  BUNDLE_TRY(mlp->gate_up, weights.linear(gate_up, config.hidden_size, Bias::kIfPublished));
  BUNDLE_TRY(mlp->down, weights.linear({prefix + "mlp.down_proj", config.hidden_size},
                                       config.intermediate_size, Bias::kIfPublished));
  return std::unique_ptr<FeedForwardLayer>(std::move(mlp));
}

}  // namespace bundle::model
