// One benchmark of a model in this process: what `bundle bench` measures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "runtime/format/source.h"

namespace bundle::cli {

struct BenchOptions {
  int threads = 0;  // 0: one a physical core
  std::int64_t prompt_tokens = 512;
  std::int64_t output_tokens = 128;
  std::int64_t streams = 8;
  int repetitions = 3;
  std::string backend = "cpu";  // or "cpu-reference"
  std::string kv_type = "f16";
};

/// Measures prefill, decode and concurrent streams through the engine, without prefix reuse, and
/// the memory bandwidth before and after. Rates are medians over the repetitions.
///
///   prefill_tok_s   prompt_tokens / time to the first token of a request for one token
///   decode_tok_s    output tokens / time from the first to the last, after a one-token prompt
///   streams_tok_s   output tokens of all streams / time from the first token of any to the last
Result<Json> run_bench(const format::ModelSource& source, const BenchOptions& options,
                       const Progress& progress);

}  // namespace bundle::cli
