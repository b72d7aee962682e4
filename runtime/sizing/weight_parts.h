// The weights of a model, grouped by what decides how they are spread over GPUs.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "runtime/format/checkpoint.h"
#include "runtime/sizing/layout.h"
#include "runtime/sizing/model_shape.h"

namespace bundle::sizing {

/// What a tensor does. The comment says over what it is divided.
enum class Role : std::uint8_t {
  kEmbedding,        // the attention's ranks (by vocabulary)
  kHead,             // the same
  kNorm,             // nothing: every rank has it
  kQuery,            // the attention's ranks, by head
  kKeyValue,         // the same, but no further than there are key/value heads
  kLatentDown,       // nothing: MLA's first projections, V3.2's indexer
  kLatentUp,         // the attention's ranks, by head: MLA's second projections
  kAttentionOutput,  // the attention's ranks
  kMlp,              // the attention's ranks: dense layers
  kSharedExpert,     // the attention's ranks
  kRouter,           // nothing
  kExpert,           // all ranks of the stage
};

inline constexpr std::size_t kRoles = static_cast<std::size_t>(Role::kExpert) + 1;

/// All tensors of one role, layer and stored type.
struct WeightPart {
  Role role = Role::kNorm;
  std::int64_t layer = -1;  // -1: before or behind the layers
  bool prediction = false;  // of a multi-token prediction (MTP) layer, loaded only for speculation
  std::string_view type;    // "BF16", "F8_E4M3", "Q4_K"
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

/// Parts of a checkpoint that is not here: every tensor that a publisher stores for this shape and
/// format, to the byte. An error when sizes multiply beyond 63 bits.
Result<std::vector<WeightPart>> predicted_parts(const ModelShape& shape);

/// Parts of a checkpoint that is here.
std::vector<WeightPart> stored_parts(const format::Checkpoint& checkpoint,
                                     const format::ModelConfig& config);

/// Elements and bytes, by stored type.
struct StoredTotal {
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};
std::map<std::string_view, StoredTotal> totals_by_type(const std::vector<WeightPart>& parts);

/// Of all parts; `prediction` counts the MTP layers too.
std::uint64_t total_bytes(const std::vector<WeightPart>& parts, bool prediction);

/// Bytes that one token reads: all parts that serve without speculation, but an input embedding
/// that is looked up by row (a tied one is read whole, as the output head) and, of the experts,
/// only as many as a token is sent to.
double token_bytes(const std::vector<WeightPart>& parts, const format::ModelConfig& config);

/// Bytes on the rank that holds the most, of the parts that serve without speculation.
std::uint64_t rank_bytes(const std::vector<WeightPart>& parts, const ModelShape& shape,
                         const Layout& layout);

/// Of those, what every rank of a stage holds alike (norms, routers, MLA's first projections).
std::uint64_t replicated_bytes(const std::vector<WeightPart>& parts, const Layout& layout);

}  // namespace bundle::sizing
