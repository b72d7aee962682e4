#include "runtime/sizing/step_time.h"

#include <algorithm>
#include <cmath>

namespace bundle::sizing {
namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kMicro = 1e-6;
/// Reads and writes of the residual (2 bytes each) that a layer's unfused small kernels make.
constexpr double kElementwisePasses = 18;

/// Reading and computing overlap, but not wholly where both take long.
double overlapped(double a, double b) {
  const double most = std::max(a, b);
  if (most <= 0) return 0;
  return most * std::cbrt(1 + std::pow(std::min(a, b) / most, 3));
}

/// The share of a layer's experts that any of `tokens` is sent to.
double touched_experts(const RankWork& work, const Efficiency& efficiency, double tokens) {
  if (work.experts_each == 0) return 0;
  const double chosen = work.experts_chosen / work.experts_each;
  return 1 - std::pow(1 - chosen, std::max(1.0, tokens) * efficiency.expert_spread);
}

class Roofline {
 public:
  Roofline(const RankWork& work, const GpuSpec& gpu, const Efficiency& efficiency)
      : work_(work), gpu_(gpu), efficiency_(efficiency) {}

  double matrices(const MatrixWork& group, double tokens, const std::string& compute) const {
    return overlapped(group.bytes / (bandwidth() * efficiency_.bandwidth),
                      2 * group.elements * tokens / (peak(compute, efficiency_.flops)));
  }

  /// Only chosen experts are read. `tokens` of the whole copy pass its ranks' experts.
  double experts(double tokens) const {
    if (work_.experts_each == 0) return 0;
    const double chosen = work_.experts_chosen / work_.experts_each;
    const double touched = touched_experts(work_, efficiency_, tokens);
    return overlapped(touched * work_.experts.bytes / (bandwidth() * efficiency_.expert_bandwidth),
                      2 * work_.experts.elements * chosen * tokens /
                          peak(work_.expert_compute, efficiency_.expert_flops));
  }

  /// Sequences and prompts of one rank.
  double cache(const Step& step) const {
    const double positions = step.sequences * step.context;
    const double flops = gpu_.peak("bf16") * kTera * efficiency_.attention_flops;
    return overlapped(
               positions * work_.kv_token_bytes / (bandwidth() * efficiency_.attention_bandwidth),
               positions * work_.decode_flops / flops) +
           step.prompt_tokens * step.prompt_context * work_.prefill_flops / flops;
  }

  double elementwise(double tokens) const {
    return tokens * work_.layers * work_.hidden * 2 * kElementwisePasses * efficiency_.elementwise /
           bandwidth();
  }

 private:
  double bandwidth() const { return gpu_.bandwidth_gb_s * kGiga; }

  double peak(const std::string& compute, double share) const {
    const bool narrow = compute == "fp4" && gpu_.fp4 > 0;
    const double cut = narrow ? efficiency_.fp4_flops / efficiency_.flops : 1;
    return gpu_.peak(compute) * kTera * share * cut;
  }

  const RankWork& work_;
  const GpuSpec& gpu_;
  const Efficiency& efficiency_;
};

/// One all-reduce of `bytes` over `ranks`, as a ring: twice (n - 1) / n of the bytes pass each
/// link.
double reduce(double bytes, std::int64_t ranks, const Fabric& fabric,
              const Efficiency& efficiency) {
  if (ranks < 2) return 0;
  const auto pass = [&](std::int64_t n, double gb_s) {
    const auto count = static_cast<double>(n);
    return 2 * (count - 1) / count * bytes / (std::max(gb_s, 1e-3) * kGiga * efficiency.link);
  };
  const std::int64_t inside = std::min(ranks, fabric.per_node);
  const double latency = fabric.nvlink ? efficiency.reduce_us : efficiency.pcie_reduce_us;
  double seconds = latency * kMicro + pass(inside, fabric.link_gb_s);
  if (ranks > fabric.per_node) {
    const std::int64_t nodes = (ranks + fabric.per_node - 1) / fabric.per_node;
    // Each GPU sends its part of the node's sum over its own share of the network.
    seconds += efficiency.network_us * kMicro +
               pass(nodes, fabric.network_gb_s) / static_cast<double>(inside);
  }
  return seconds;
}

double collectives(const RankWork& work, const Fabric& fabric, const Efficiency& efficiency,
                   double tokens) {
  const Layout& layout = work.layout;
  const double row = work.hidden * 2;
  const double rank_tokens = tokens / static_cast<double>(layout.dp);
  const double attention = reduce(rank_tokens * row, layout.attention_ranks(), fabric, efficiency);
  // With data-parallel attention tokens are gathered before the experts and scattered behind them,
  // which moves what one all-reduce moves.
  const double other = reduce(tokens * row, layout.tp, fabric, efficiency);
  double seconds = work.layers * (attention + other);
  if (layout.pp > 1) {
    const double hop = layout.gpus() > fabric.per_node
                           ? tokens * row / (std::max(fabric.network_gb_s, 1e-3) * kGiga)
                           : tokens * row / (std::max(fabric.link_gb_s, 1e-3) * kGiga);
    seconds += static_cast<double>(layout.pp - 1) * (efficiency.network_us * kMicro + hop);
  }
  return seconds;
}

}  // namespace

StepTime step_time(const RankWork& work, const GpuSpec& gpu, const Fabric& fabric,
                   const Efficiency& efficiency, const EngineProfile& profile, const Step& step) {
  const auto groups = static_cast<double>(work.layout.dp);
  Step rank = step;
  rank.sequences /= groups;
  rank.prompt_tokens /= groups;
  const double tokens = step.sequences + step.prompt_tokens;
  const double rank_tokens = tokens / groups;
  const Roofline roofline(work, gpu, efficiency);
  StepTime time;
  time.attention_weights = roofline.matrices(work.attention, rank_tokens, work.attention_compute);
  time.mlp = roofline.matrices(work.mlp, rank_tokens, work.mlp_compute);
  time.experts = roofline.experts(tokens);
  time.head = roofline.matrices(work.head, std::max(1.0, rank.sequences), "bf16");
  time.cache = roofline.cache(rank);
  time.elementwise = roofline.elementwise(rank_tokens);
  time.collectives = collectives(work, fabric, efficiency, tokens);
  time.between =
      profile.overhead * kMicro *
      (work.layers * efficiency.layer_us + work.expert_layers * efficiency.expert_layer_us +
       efficiency.step_us + step.sequences * profile.sequence_us);
  return time;
}

double step_bound(const RankWork& work, const GpuSpec& gpu, const Efficiency& efficiency,
                  const Step& step) {
  const auto groups = static_cast<double>(work.layout.dp);
  const double tokens = step.sequences + step.prompt_tokens;
  const double chosen = work.experts_each > 0 ? work.experts_chosen / work.experts_each : 0;
  const double touched = touched_experts(work, efficiency, tokens);
  const double bytes = work.attention.bytes + work.mlp.bytes + work.head.bytes +
                       touched * work.experts.bytes +
                       step.sequences / groups * step.context * work.kv_token_bytes;
  const double plain = 2 * (work.attention.elements + work.mlp.elements) * tokens / groups +
                       2 * work.head.elements * step.sequences / groups;
  const double flops = plain + 2 * work.experts.elements * chosen * tokens +
                       (step.sequences * step.context * work.decode_flops +
                        step.prompt_tokens * step.prompt_context * work.prefill_flops) /
                           groups;
  return std::max(
      bytes / (gpu.bandwidth_gb_s * kGiga),
      flops / (gpu.peak(work.experts_each > 0 ? work.expert_compute : work.mlp_compute) * kTera));
}

}  // namespace bundle::sizing
