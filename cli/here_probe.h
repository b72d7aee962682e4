// How fast this machine would run a model whose files are not here, from its own kernels on
// matrices of the model's shapes and types: seconds of measuring, whatever the model's size.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "runtime/format/checkpoint.h"
#include "runtime/sizing/search.h"

namespace bundle::cli {

struct HereQuestion {
  int threads = 0;  // 0: one a physical core
  std::int64_t input_tokens = 512;
  std::int64_t output_tokens = 128;
  DType type = DType::kBF16;  // of the matrices, where the model's files are not here
};

struct HereSpeed {
  std::string device;
  int threads = 0;
  double bandwidth_gb_s = 0;      // that the threads read
  double prefill_tok_s = 0;       // of a prompt of input_tokens
  double decode_tok_s = 0;        // one sequence, at input_tokens + output_tokens / 2 positions
  double decode_bound_tok_s = 0;  // weights and cache once through the memory
  double ttft = 0;                // seconds
  std::int64_t layers_measured = 0;
};

/// Packs some of the model's layers with made-up weights (as many as 512 MB hold),
/// times a decode step and a prompt, and scales by the number of layers. kFailed when this CPU has
/// no kernels; kUsage for mixtures of experts and MLA, which here_model.h measures.
Result<HereSpeed> measure_here(const sizing::SizedModel& model, const HereQuestion& question);

/// Fills in what follows from `decode_tok_s` and `ttft`, beside the bandwidth of this moment.
void finish_speed(const sizing::SizedModel& model, const HereQuestion& question, HereSpeed& speed);

}  // namespace bundle::cli
