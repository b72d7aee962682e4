// The constants of the speed model: which share of a GPU's peaks real kernels reach, and what lies
// between kernels. Calibrated on half of the published measurements (docs/sizing.md).
#pragma once

#include <span>
#include <string_view>

namespace bundle::sizing {

struct Efficiency {
  double bandwidth = 0.94;            // of the memory's, reading weights
  double expert_bandwidth = 0.72;     // the same, experts
  double attention_bandwidth = 0.95;  // the same, the cache
  double flops = 0.90;                // of the peak, matrix products
  double fp4_flops = 0.61;            // the same in FP4
  double expert_flops = 0.80;         // the same, experts
  double attention_flops = 0.28;      // of the BF16 peak, attention
  double elementwise = 2.0;      // passes over the residual, of the 18 that unfused kernels make
  double expert_spread = 0.75;   // experts touched, of what independent choices would touch
  double layer_us = 102;         // between kernels, a layer
  double expert_layer_us = 120;  // more of it, a layer with experts
  double step_us = 100;          // a step
  double reduce_us = 3;          // latency of one all-reduce within a node
  double pcie_reduce_us = 20;    // the same without NVLink; no measurement here shows it
  double link = 0.90;            // of the link's bandwidth, collectives
  double network_us = 25;        // latency of one all-reduce between nodes
  double burst = 0.092;          // of the other users' prompts, come at the same moment
};

/// One constant: its name, where it is, and the range that physics and taste allow it.
struct EfficiencyField {
  std::string_view name;
  double Efficiency::*value;
  double low;
  double high;
};
std::span<const EfficiencyField> efficiency_fields();

}  // namespace bundle::sizing
