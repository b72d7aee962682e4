// The choice of experts for one row, for devices that make it on the host.
#pragma once

#include <cstdint>

#include "runtime/kernels/device.h"

namespace bundle::kernels {

/// RouterShape's rule. logits (shape.experts), bias the same or null; experts and weights
/// (shape.top_k). The kept groups must hold at least top_k experts, and each group group_best.
void choose_experts(const float* logits, const RouterShape& shape, const float* bias,
                    std::int32_t* experts, float* weights);

}  // namespace bundle::kernels
