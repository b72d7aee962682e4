// What a model takes of memory, and how long a cache fits beside it. `bundle size` and the engine
// count with the same numbers.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "runtime/format/model_config.h"

namespace bundle::sizing {

/// Elements that the cache keeps for one position over all layers: keys and values of every
/// key/value head, or with MLA the shared latent (kv_lora_rank + qk_rope_head_dim) alone.
/// Prediction (MTP) layers are left out.
std::uint64_t kv_elements_per_token(const format::ModelConfig& config);

/// The same in bytes, of an unquantized type. DeepSeek-R1 in BF16: 70272.
std::uint64_t kv_bytes_per_token(const format::ModelConfig& config, DType kv_type);

/// Bytes of all weights when each were stored as `type`: an estimate for a model that is not here
/// (published files keep norms in a wider type); Checkpoint::weight_bytes() is exact for one that
/// is. An error when the sizes multiply beyond 63 bits.
Result<std::uint64_t> weight_bytes(const format::ModelConfig& config, DType type);

/// What an engine needs on its host, whatever the cache gets. Bytes.
struct HostNeeds {
  std::uint64_t weights = 0;      // mapped and private
  std::uint64_t activations = 0;  // of the largest step
  std::uint64_t kv_per_token = 0;
};

/// Buffers of one step of `step_tokens` tokens that keeps `rows` rows of logits, in float: the
/// residual, the wider of attention (q, k, v and its output) and MLP (gate, up and their product),
/// and the logits twice (the device's and the sampler's).
std::uint64_t host_activation_bytes(const format::ModelConfig& config, std::int64_t step_tokens,
                                    std::int64_t rows);

/// Bytes, but for the last.
struct MemoryPlan {
  std::uint64_t weights = 0;
  std::uint64_t activations = 0;
  std::uint64_t left_for_kv = 0;
  std::int64_t kv_tokens = 0;  // positions that fit into left_for_kv
};

/// Divides `memory` bytes: weights and activations come off, the rest is cache. kFailed, saying how
/// much is lacking, when not even one position is left.
Result<MemoryPlan> plan_memory(const HostNeeds& needs, std::uint64_t memory);

}  // namespace bundle::sizing
