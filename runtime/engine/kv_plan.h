// How much memory the paged cache gets.
#pragma once

#include <cstdint>
#include <optional>

#include "base/file.h"
#include "base/result.h"
#include "runtime/engine/engine.h"

namespace bundle::engine {

/// Memory that this process can still take, in bytes: the least of the machine's MemAvailable and
/// what every memory limit of its control groups (v1 and v2) leaves. None when it cannot be told.
/// `root` stands for "/" in tests.
std::optional<std::uint64_t> available_memory(const Path& root = "/");

/// Sizes of one model's cache.
struct KvNeeds {
  std::uint64_t bytes_per_token = 0;
  std::int64_t model_context = 0;      // positions
  std::uint64_t activation_bytes = 0;  // of the largest step
};

struct KvPlan {
  std::int64_t blocks = 0;
  std::int64_t max_context = 0;  // prompt and output of one request
};

/// Blocks for options.kv_tokens positions, or, when that is 0, for as many as are useful: room for
/// max_sequences full contexts, but no more than half of the memory that is left beside the mapped
/// weights, nor more than the larger of one full context and 2 GiB. The cache's memory is taken
/// only as it is used. kUsage when options contradict the model or each other, kFailed when
/// `available` holds too little.
Result<KvPlan> plan_kv(const KvNeeds& needs, const EngineOptions& options,
                       std::optional<std::uint64_t> available);

}  // namespace bundle::engine
