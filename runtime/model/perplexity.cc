#include "runtime/model/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace bundle::model {
namespace {

using Tokens = std::span<const std::int32_t>;

constexpr std::int64_t kBlockTokens = 16;

/// −log softmax(row)[token].
double nll(std::span<const float> row, std::int32_t token) {
  const float top = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float value : row) sum += std::exp(static_cast<double>(value - top));
  return std::log(sum) - static_cast<double>(row[static_cast<std::size_t>(token)] - top);
}

/// Runs single sequences and adds up how surprised the model is.
class Scorer {
 public:
  static Result<Scorer> make(Model& model, kernels::Device& device, std::int64_t length,
                             const PerplexityOptions& options) {
    const std::int64_t blocks = (length + kBlockTokens - 1) / kBlockTokens;
    BUNDLE_TRY(auto cache,
               device.make_kv_cache(model.kv_shape(options.kv_type, kBlockTokens), blocks));
    return Scorer(model, std::move(cache), blocks, std::max<std::int64_t>(1, options.step_tokens));
  }

  /// Sum over the predictions of tokens[first + 1:], each made from all tokens before it.
  double score(Tokens tokens, std::size_t first) {
    const auto vocab = static_cast<std::size_t>(model_.config().vocab_size);
    double sum = 0.0;
    // The last token's own prediction has nothing to be compared with.
    for (std::size_t at = 0; at + 1 < tokens.size();) {
      // Steps do not straddle `first`: one has logits for all of its tokens or for none.
      const std::size_t end = at < first ? first : tokens.size() - 1;
      const std::size_t count = std::min(step_tokens_, end - at);
      const SequenceChunk chunk{tokens.subspan(at, count), static_cast<std::int64_t>(at), blocks_,
                                at < first ? 0 : static_cast<std::int64_t>(count),
                                static_cast<std::int64_t>(tokens.size())};
      model_.forward({&chunk, 1}, *cache_, logits_);
      for (std::size_t i = 0; at >= first && i < count; ++i) {
        sum += nll(std::span(logits_).subspan(i * vocab, vocab), tokens[at + i + 1]);
      }
      at += count;
    }
    return sum;
  }

 private:
  Scorer(Model& model, std::unique_ptr<kernels::KvCache> cache, std::int64_t blocks,
         std::int64_t step_tokens)
      : model_(model),
        cache_(std::move(cache)),
        blocks_(static_cast<std::size_t>(blocks)),
        step_tokens_(static_cast<std::size_t>(step_tokens)) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  Model& model_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<std::int32_t> blocks_;
  std::size_t step_tokens_;
  std::vector<float> logits_;
};

Status check_tokens(const Model& model, Tokens tokens) {
  const auto vocab = model.config().vocab_size;
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < vocab) continue;
    return bad_input("token " + std::to_string(token) + " is outside the vocabulary of " +
                     std::to_string(vocab));
  }
  return {};
}

Error too_short(std::size_t tokens, std::int64_t wanted) {
  return {ErrorCode::kUsage, "a text of " + std::to_string(tokens) + " tokens is too short", "",
          "Give at least " + std::to_string(wanted) + "."};
}

}  // namespace

Result<double> perplexity(Model& model, kernels::Device& device, Tokens tokens,
                          const PerplexityOptions& options, const Progress& progress) {
  if (options.context < 2) return Error{ErrorCode::kUsage, "the context is under two tokens"};
  const auto context = static_cast<std::size_t>(options.context);
  const std::size_t chunks = tokens.size() / context;
  if (chunks == 0) return too_short(tokens.size(), options.context);
  BUNDLE_CHECK(check_tokens(model, tokens));
  BUNDLE_TRY(Scorer scorer, Scorer::make(model, device, options.context, options));
  double sum = 0.0;
  for (std::size_t i = 0; i < chunks; ++i) {
    std::vector<std::int32_t> chunk(
        tokens.begin() + static_cast<std::ptrdiff_t>(i * context),
        tokens.begin() + static_cast<std::ptrdiff_t>((i + 1) * context));
    if (options.bos >= 0) chunk.front() = options.bos;
    sum += scorer.score(chunk, context / 2);
    if (progress && !progress("measuring perplexity", i + 1, chunks)) {
      return Error{ErrorCode::kInterrupted, "measuring perplexity was interrupted"};
    }
  }
  const std::size_t predictions = chunks * (context - context / 2 - 1);
  return std::exp(sum / static_cast<double>(predictions));
}

Result<double> mean_nll(Model& model, kernels::Device& device, Tokens tokens,
                        const PerplexityOptions& options) {
  if (tokens.size() < 2) return too_short(tokens.size(), 2);
  BUNDLE_CHECK(check_tokens(model, tokens));
  BUNDLE_TRY(Scorer scorer,
             Scorer::make(model, device, static_cast<std::int64_t>(tokens.size()), options));
  return scorer.score(tokens, 0) / static_cast<double>(tokens.size() - 1);
}

}  // namespace bundle::model
