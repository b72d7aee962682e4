#include "runtime/kernels/reference/plain_experts.h"

#include <cmath>

namespace bundle::kernels::reference {

Result<PlainExperts> PlainExperts::make(std::span<const ExpertView> experts) {
  PlainExperts made;
  for (const ExpertView& view : experts) {
    const WeightView gate_up[] = {view.gate, view.up};
    BUNDLE_TRY(PlainMatrix first, PlainMatrix::make(gate_up));
    BUNDLE_TRY(PlainMatrix second, PlainMatrix::make({&view.down, 1}));
    if (first.rows() != 2 * second.cols() || first.cols() != second.rows()) {
      return bad_input("an expert's matrices do not fit each other");
    }
    made.experts_.push_back({std::move(first), std::move(second)});
    const Expert& expert = made.experts_.back();
    const Expert& front = made.experts_.front();
    if (expert.down.rows() != front.down.rows() || expert.down.cols() != front.down.cols()) {
      return bad_input("the experts of a layer differ in shape");
    }
  }
  return made;
}

void PlainExperts::run(Tensor x, Routing routing, Tensor y) const {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const Tensor row{x.f32() + i * x.cols, 1, x.cols};
    for (std::int64_t k = 0; k < routing.top_k; ++k) {
      const std::int64_t number = routing.experts[i * routing.top_k + k] - routing.first;
      if (number < 0 || number >= static_cast<std::int64_t>(experts_.size())) continue;
      const Expert& expert = experts_[number];
      const float weight = routing.weights[i * routing.top_k + k];
      const std::int64_t width = expert.down.cols();
      std::vector<float> both(static_cast<std::size_t>(2 * width));
      std::vector<float> active(static_cast<std::size_t>(width));
      std::vector<float> result(static_cast<std::size_t>(y.cols));
      multiply(expert.gate_up, row, nullptr, false, {both.data(), 1, 2 * width});
      silu_mul({both.data(), 1, 2 * width}, {active.data(), 1, width});
      multiply(expert.down, {active.data(), 1, width}, nullptr, false, {result.data(), 1, y.cols});
      for (std::int64_t c = 0; c < y.cols; ++c) y.f32()[i * y.cols + c] += weight * result[c];
    }
  }
}

void silu_mul(Tensor gate_up, Tensor out) {
  for (std::int64_t i = 0; i < out.rows; ++i) {
    const float* gate = gate_up.f32() + i * gate_up.cols;
    const float* up = gate + out.cols;
    float* to = out.f32() + i * out.cols;
    for (std::int64_t j = 0; j < out.cols; ++j) {
      to[j] = gate[j] / (1.0f + std::exp(-gate[j])) * up[j];
    }
  }
}

}  // namespace bundle::kernels::reference
