#include "runtime/engine/kv_plan.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "runtime/sizing/memory_plan.h"

namespace bundle::engine {
namespace {

constexpr std::uint64_t kUsefulBytes = 2ull << 30;
constexpr std::int64_t kLeastTokens = 256;  // less serves nobody
constexpr std::int64_t kMostBlocks = std::numeric_limits<std::int32_t>::max();

std::int64_t round_up(std::int64_t tokens, std::int64_t block) {
  return tokens / block + (tokens % block != 0);
}

Result<std::int64_t> wanted_context(const KvNeeds& needs, const EngineOptions& options) {
  if (options.max_context == 0) return needs.model_context;
  if (options.max_context > needs.model_context) {
    return Error{ErrorCode::kUsage,
                 "context_length " + std::to_string(options.max_context) +
                     " is more than the model's " + std::to_string(needs.model_context),
                 "runtime.context_length", "Choose one that the model was made for."};
  }
  return options.max_context;
}

/// All that could ever be used at once, without overflow.
std::int64_t most_tokens(std::int64_t context, std::int64_t sequences) {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 4;
  return sequences > most / context ? most : context * sequences;
}

Result<std::int64_t> planned_tokens(const KvNeeds& needs, const EngineOptions& options,
                                    std::int64_t context, std::optional<std::uint64_t> available) {
  const std::uint64_t room = available.value_or(4 * kUsefulBytes);
  const std::uint64_t each = std::max<std::uint64_t>(1, needs.bytes_per_token);
  const auto plan =
      sizing::plan_memory({options.mapped_weight_bytes, needs.activation_bytes, each}, room);
  const std::int64_t useful = std::max(context, static_cast<std::int64_t>(kUsefulBytes / each));
  const std::int64_t beside = plan ? plan->kv_tokens : 0;
  const std::int64_t tokens =
      std::min({beside / 2, useful, most_tokens(context, options.max_sequences)});
  if (tokens < std::min(context, kLeastTokens)) {
    return failed("only " + human_bytes(plan ? plan->left_for_kv : 0) +
                      " of memory are left for the key/value cache",
                  "",
                  "Free some memory, or set runtime.kv_tokens to what you can spare (" +
                      human_bytes(needs.bytes_per_token) + " a token).");
  }
  return tokens;
}

}  // namespace

Result<KvPlan> plan_kv(const KvNeeds& needs, const EngineOptions& options,
                       std::optional<std::uint64_t> available) {
  if (options.block_tokens < 1 || options.max_sequences < 1 || options.max_step_tokens < 1 ||
      options.kv_tokens < 0 || options.max_context < 0) {
    return Error{ErrorCode::kUsage, "an engine option is not positive", "runtime", ""};
  }
  BUNDLE_TRY(const std::int64_t context, wanted_context(needs, options));
  std::int64_t tokens = options.kv_tokens;
  if (tokens == 0) {
    BUNDLE_TRY(tokens, planned_tokens(needs, options, context, available));
  }
  const KvPlan plan{round_up(tokens, options.block_tokens), 0};
  if (plan.blocks > kMostBlocks) return failed("the key/value cache has too many blocks");
  const std::int64_t fits = plan.blocks * options.block_tokens;
  if (options.max_context > fits) {
    return failed("a context of " + std::to_string(options.max_context) +
                      " tokens needs more cache than the " + std::to_string(fits) +
                      " tokens that there are",
                  "runtime.context_length", "Shorten the context, or raise runtime.kv_tokens.");
  }
  return KvPlan{plan.blocks, std::min(context, fits)};
}

}  // namespace bundle::engine
