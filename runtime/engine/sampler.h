// From a row of logits to a token. The steps and their order are vLLM's (v1/sample/sampler.py and
// ops/topk_topp_sampler.py):
//
//   1. logit_bias is added; end tokens are masked while fewer than min_tokens are out, and so is
//      what a constraint does not allow
//   2. penalties: repetition (transformers: seen tokens' logits are divided by it when positive,
//      multiplied when negative), then frequency and presence (OpenAI: count · f + (count > 0) · p
//      is subtracted)
//   3. temperature 0: the largest logit, the lower id on a tie. Else divide by the temperature,
//   4. min_p: keep tokens at least min_p times as likely as the likeliest
//   5. top_k: keep the k likeliest
//   6. top_p: keep the fewest likeliest whose share of what is left reaches top_p
//   7. draw from what is left: the lowest id at which the weights of what is left, summed in the
//      order of ids, pass a uniform random share of their total
//
// A device may take steps 3 to 7 (kernels::TokenChoice): with the same weights, in the same order.
//
// Log-probabilities are of the raw logits, before step 1. The vocabulary is never sorted whole.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/engine/logit_row.h"
#include "runtime/engine/request.h"
#include "runtime/engine/token_history.h"
#include "runtime/kernels/device.h"

namespace bundle::engine {

/// The tokens that step 7 draws from. Weights are relative probabilities, the likeliest of all
/// tokens having 1.
struct Candidates {
  bool all = false;               // every token of the row, weights by id; ids is then empty
  std::vector<std::int32_t> ids;  // in their order
  std::vector<double> weights;    // (ids.size())
  std::vector<float> dense;       // with `all`
};

/// Sums over stretches of dense weights, so that a draw looks at one stretch alone.
class DenseSums {
 public:
  void assign(std::span<const float> weights);
  /// One weight has changed.
  void refresh(std::span<const float> weights, std::int32_t id);
  double total() const;
  /// The id at share `u` of the total, u in [0, 1). The total must be over 0.
  std::int32_t draw(std::span<const float> weights, double u) const;

 private:
  std::vector<double> sums_;
};

/// What of a sequence decides its next token.
struct SampleContext {
  const SamplingParams& params;
  const TokenHistory& history;           // need not be kept when uses_history(params) is false
  std::span<const std::int32_t> masked;  // ids that may not come now
  std::uint64_t seed = 0;
  std::uint64_t draw = 0;                      // outputs so far
  std::span<const std::int32_t> allowed = {};  // one bit an id: those that may come; empty: all
};

/// What is wrong with a request's parameters, for a model of that many tokens; none when all fits.
std::optional<std::string> check_sampling(const SamplingParams& params, std::int64_t vocab_size);

bool uses_history(const SamplingParams& params);
/// Whether step 1 or 2 changes a logit.
bool changes_logits(const SampleContext& context);
/// Steps 3 to 7 for a device.
kernels::TokenChoice choice_of(const SampleContext& context);
/// What is said of a row that has a logit that is not finite.
Error no_numbers();

/// Holds scratch memory only; a choice depends on its arguments alone. Not thread-safe.
class Sampler {
 public:
  /// kFailed when a logit is not finite, or all are masked.
  Result<std::int32_t> choose(std::span<const float> logits, const SampleContext& context);

  /// Where only the temperature shapes what is drawn from, tokens can be tried before all that may
  /// come are known: draws until `take` takes one, each time without those that it did not, and
  /// gives up after kTries with none. A token that is taken, and one that choose_allowed() then
  /// draws, come as often as if the mask had been there from the start. kFailed as above.
  using Take = std::function<bool(std::int32_t id)>;
  Result<std::optional<std::int32_t>> try_tokens(std::span<const float> logits,
                                                 const SampleContext& context, const Take& take);
  static constexpr int kTries = 32;
  static bool can_try(const SamplingParams& params);
  /// After try_tokens gave none, of the same row: one of `context.allowed`. What was worked out for
  /// the tries is used again. kFailed as above.
  Result<std::int32_t> choose_allowed(const SampleContext& context);

  /// Log-probability and rank of `token` and the `top` likeliest. kFailed as above.
  Result<ScoredToken> score(std::span<const float> logits, std::int32_t token, std::int32_t top);

  /// Steps 4 to 6 on logits that went through 1 and 2. Valid until the next call.
  const Candidates& candidates(const LogitRow& row, const SamplingParams& params);

 private:
  void adjust(const SampleContext& context);
  std::optional<std::int32_t> try_likeliest(const Take& take);
  std::optional<std::int32_t> try_draws(const SampleContext& context, const Take& take);
  /// False when nothing of the tries' weights is left.
  bool keep_allowed_weights(std::span<const std::int32_t> allowed);
  void keep_top(const LogitRow& row, const SamplingParams& params);
  void keep_likely(const LogitRow& row, const SamplingParams& params);
  void keep_all(const LogitRow& row, double temperature);
  void keep_nucleus(const LogitRow& row, const SamplingParams& params);
  /// min_p as a bound of logits.
  static float least_value(const LogitRow& row, const SamplingParams& params);
  void weigh(const LogitRow& row, double temperature);
  /// Of ids that are sorted, the likeliest first: top_p's, by id, with their weights.
  void cut_and_weigh(const LogitRow& row, const SamplingParams& params);

  LogitRow row_;
  std::vector<float> adjusted_;
  Candidates candidates_;
  DenseSums sums_;  // of the tries' weights
  std::vector<double> shelves_;
};

/// The candidate at share `u` of the total weight, u in [0, 1).
std::int32_t draw(const Candidates& candidates, double u);

}  // namespace bundle::engine
