// What engines take of a GPU beside weights and cache, and how they schedule. `bundle` is ours;
// the others are there to check the model against published measurements.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bundle::sizing {

struct EngineProfile {
  std::string_view name;

  /// Share of the usable memory that the engine takes (vLLM's gpu_memory_utilization); with
  /// `share_of_rest`, the share of what is left that becomes cache (TensorRT-LLM's
  /// free_gpu_memory_fraction).
  double share = 0.9;
  bool share_of_rest = false;
  std::int64_t step_tokens = 8192;  // most tokens of one step, which activations grow with

  // Activations: residual_copies × tokens × hidden × 2 bytes, plus the widest layer's
  // intermediate results, plus float32 copies of `sampler_rows` rows of logits.
  double residual_copies = 1;
  std::int64_t sampler_rows = 1024;
  double sampler_copies = 9.6;

  /// Sequences of the largest captured CUDA graph, at 2 MiB each (SGLang's rule); 0: the engine
  /// keeps graphs in what it does not take.
  std::int64_t graph_sequences = 0;

  double context_gib = 0.14;   // CUDA context and libraries, one GPU
  double exchange_gib = 0.46;  // buffers of collectives, when there are several GPUs
  double workspace_gib = 0;    // engine's own, whatever the model
  double reserve_share = 0;    // of the usable memory, never used

  // Scheduling.
  double overhead = 1;       // of the calibrated time between kernels
  double admission_ms = 30;  // from a request's arrival to its first step
  double sequence_us = 16;   // of each sequence and step: scheduling, sampling, streaming
  double preemption = 0;     // 0: a request waits for its memory; 1: all start and take turns
};

/// bundle, vllm, sglang, trtllm, trtllm-bench.
const std::vector<EngineProfile>& engine_profiles();

/// `bundle` for a name that is not there.
const EngineProfile& engine_profile(std::string_view name);

}  // namespace bundle::sizing
