#include "runtime/sizing/engine_profile.h"

namespace bundle::sizing {

// Memory of vLLM: what its start-up profile logs for Llama 3.1 8B on an H100 (peak activation 4.76
// GiB, other 0.13 GiB); the rule then holds for the models it was not taken from (docs/sizing.md).
// Memory of TensorRT-LLM: the 3.5 GiB that NVIDIA's aiconfigurator sets aside, and 1 % of the GPU.
// `bundle` plans as vLLM does until its own use on GPUs is measured.
const std::vector<EngineProfile>& engine_profiles() {
  static const std::vector<EngineProfile> profiles = [] {
    EngineProfile bundle;
    bundle.name = "bundle";
    bundle.overhead = 0.70;
    bundle.admission_ms = 43;
    EngineProfile vllm = bundle;
    bundle.graph_sequences = 64;  // its default of sequences at once
    vllm.name = "vllm";
    vllm.preemption = 0.75;
    EngineProfile sglang = bundle;
    sglang.name = "sglang";
    sglang.overhead = 0.54;
    sglang.admission_ms = 575;
    EngineProfile trtllm = bundle;
    trtllm.name = "trtllm";
    trtllm.overhead = 0.605;
    trtllm.admission_ms = 201;
    trtllm.share_of_rest = true;
    trtllm.residual_copies = 10;
    trtllm.sampler_rows = 0;
    trtllm.workspace_gib = 3.5;
    trtllm.reserve_share = 0.01;
    EngineProfile bench = trtllm;
    bench.name = "trtllm-bench";
    bench.share = 0.95;
    bench.overhead = 1.30;
    return std::vector<EngineProfile>{bundle, vllm, sglang, trtllm, bench};
  }();
  return profiles;
}

const EngineProfile& engine_profile(std::string_view name) {
  for (const EngineProfile& profile : engine_profiles()) {
    if (profile.name == name) return profile;
  }
  return engine_profiles().front();
}

}  // namespace bundle::sizing
