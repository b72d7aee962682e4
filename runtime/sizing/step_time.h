// How long one step of the engine takes on GPUs: a roofline for each kind of operator, with
// calibrated efficiencies, collectives, and the time between kernels.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/sizing/efficiency.h"
#include "runtime/sizing/engine_profile.h"
#include "runtime/sizing/gpu.h"
#include "runtime/sizing/kv_cache.h"
#include "runtime/sizing/weight_parts.h"

namespace bundle::sizing {

/// Work of one kind of matrices on one rank, over all layers.
struct MatrixWork {
  double bytes = 0;     // of weights, when all are read
  double elements = 0;  // that one token multiplies with (all experts' for kExpert)
};

/// A model on a layout, in the numbers that steps are made of. Stages come one behind the other, so
/// a rank's work is counted over all of them.
struct RankWork {
  MatrixWork attention;  // and norms, routers: whatever stands beside MLPs and experts
  MatrixWork mlp;        // dense layers and shared experts
  MatrixWork experts;
  MatrixWork head;
  double layers = 0;
  double expert_layers = 0;
  double experts_each = 0;  // experts of a layer
  double experts_chosen = 0;
  double hidden = 0;
  double kv_token_bytes = 0;      // a rank reads for one position of one of its sequences
  double decode_flops = 0;        // of attention, a rank, one query on one position
  double prefill_flops = 0;       // the same where MLA is not absorbed
  std::string attention_compute;  // "bf16", "fp8": WeightFormat::compute()
  std::string mlp_compute;
  std::string expert_compute;
  Layout layout;
};

/// What a layout divides: the matrices of a model by role. One for all layouts.
struct ModelWork {
  std::array<MatrixWork, kRoles> roles;
  double expert_layers = 0;
  std::string attention_compute;
  std::string mlp_compute;
  std::string expert_compute;
};
ModelWork model_work(const std::vector<WeightPart>& parts, const ModelShape& shape);

RankWork rank_work(const ModelWork& model, const ModelShape& shape, const Layout& layout,
                   const KvType& type, std::int64_t context);

/// One step of the whole copy: sequences that decode at a mean `context`, and prompt tokens that
/// attend to `prompt_context` positions at the mean.
struct Step {
  double sequences = 0;
  double context = 0;
  double prompt_tokens = 0;
  double prompt_context = 0;
};

/// Seconds, by what they go to.
struct StepTime {
  double attention_weights = 0;
  double mlp = 0;
  double experts = 0;
  double head = 0;
  double cache = 0;
  double elementwise = 0;
  double collectives = 0;
  double between = 0;  // kernels: launches, scheduling, sampling

  double total() const {
    return attention_weights + mlp + experts + head + cache + elementwise + collectives + between;
  }
};

/// How the ranks reach each other.
struct Fabric {
  double link_gb_s = 0;     // within a node, one direction, a GPU
  double network_gb_s = 0;  // between nodes, a GPU
  std::int64_t per_node = 8;
  bool nvlink = true;  // else PCIe through the host
};

StepTime step_time(const RankWork& work, const GpuSpec& gpu, const Fabric& fabric,
                   const Efficiency& efficiency, const EngineProfile& profile, const Step& step);

/// The physical limit of the same step: weights and cache once through the memory's whole bandwidth
/// or all products at the whole peak, nothing else. Of `efficiency` only how many experts are
/// touched, which is no matter of the hardware.
double step_bound(const RankWork& work, const GpuSpec& gpu, const Efficiency& efficiency,
                  const Step& step);

}  // namespace bundle::sizing
