#include "runtime/sizing/efficiency.h"

namespace bundle::sizing {
namespace {

constexpr EfficiencyField kFields[] = {
    {"bandwidth", &Efficiency::bandwidth, 0.6, 0.95},
    {"expert_bandwidth", &Efficiency::expert_bandwidth, 0.3, 0.9},
    {"attention_bandwidth", &Efficiency::attention_bandwidth, 0.3, 0.95},
    {"flops", &Efficiency::flops, 0.3, 0.9},
    {"fp4_flops", &Efficiency::fp4_flops, 0.2, 0.8},
    {"expert_flops", &Efficiency::expert_flops, 0.15, 0.8},
    {"attention_flops", &Efficiency::attention_flops, 0.15, 0.7},
    {"elementwise", &Efficiency::elementwise, 0.1, 2},
    {"expert_spread", &Efficiency::expert_spread, 0.3, 1},
    {"layer_us", &Efficiency::layer_us, 3, 120},
    {"expert_layer_us", &Efficiency::expert_layer_us, 3, 120},
    {"step_us", &Efficiency::step_us, 100, 6000},
    {"reduce_us", &Efficiency::reduce_us, 3, 40},
    {"link", &Efficiency::link, 0.2, 0.9},
};

}  // namespace

std::span<const EfficiencyField> efficiency_fields() { return kFields; }

}  // namespace bundle::sizing
