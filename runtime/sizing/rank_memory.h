// Memory of one GPU: what a rank needs, and what is left for the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/sizing/engine_profile.h"
#include "runtime/sizing/kv_cache.h"
#include "runtime/sizing/weight_parts.h"

namespace bundle::sizing {

/// Bytes of the rank that holds most.
struct RankMemory {
  std::uint64_t usable = 0;  // of the GPU
  std::uint64_t budget = 0;  // the engine's share of it
  std::uint64_t weights = 0;
  std::uint64_t replicated = 0;   // of the weights: what all ranks hold alike
  std::uint64_t activations = 0;  // at the most tokens of one step
  std::uint64_t graphs = 0;       // captured CUDA graphs
  std::uint64_t context = 0;      // CUDA context, libraries, workspaces
  std::uint64_t exchange = 0;     // buffers of collectives
  std::int64_t left = 0;          // for the cache; negative: so much is lacking

  std::uint64_t needed() const { return weights + activations + graphs + context + exchange; }
};

/// `step_tokens` 0: the profile's.
RankMemory rank_memory(const std::vector<WeightPart>& parts, const ModelShape& shape,
                       const Layout& layout, double usable_gib, const EngineProfile& profile,
                       std::int64_t step_tokens = 0);

/// Activations at their largest, for steps of `tokens` tokens.
std::uint64_t activation_bytes(const ModelShape& shape, const Layout& layout,
                               const EngineProfile& profile, std::int64_t tokens);

/// Positions over all ranks that `left` holds, in sequences of `context` positions (with a sliding
/// window a longer sequence takes less a position).
std::int64_t kv_tokens(const RankMemory& memory, const ModelShape& shape, const Layout& layout,
                       const KvType& type, std::int64_t context);

}  // namespace bundle::sizing
