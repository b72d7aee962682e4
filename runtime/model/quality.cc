#include "runtime/model/quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace bundle::model {
namespace {

using Tokens = std::span<const std::int32_t>;
using Row = std::span<const float>;

constexpr std::int64_t kBlockTokens = 16;

/// A row of logits as log-probabilities: value − this.
double log_normalizer(Row row) {
  const float top = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float value : row) sum += std::exp(static_cast<double>(value - top));
  return std::log(sum) + static_cast<double>(top);
}

std::ptrdiff_t top_of(Row row) { return std::max_element(row.begin(), row.end()) - row.begin(); }

/// One model with room for one chunk.
class Reader {
 public:
  static Result<Reader> make(Model& model, kernels::Device& device, std::int64_t context) {
    const std::int64_t blocks = (context + kBlockTokens - 1) / kBlockTokens;
    BUNDLE_TRY(auto cache, device.make_kv_cache(model.kv_shape(DType::kF16, kBlockTokens), blocks));
    return Reader(model, std::move(cache), blocks);
  }

  /// Logits (chunk.size() − first, vocab) of what follows each token from `first` on.
  const std::vector<float>& read(Tokens chunk, std::size_t first) {
    const auto size = static_cast<std::int64_t>(chunk.size());
    const SequenceChunk head{chunk.first(first), 0, blocks_, 0, size};
    const SequenceChunk tail{chunk.subspan(first), static_cast<std::int64_t>(first), blocks_,
                             size - static_cast<std::int64_t>(first), size};
    model_.forward({&head, 1}, *cache_, logits_);
    model_.forward({&tail, 1}, *cache_, logits_);
    return logits_;
  }

 private:
  Reader(Model& model, std::unique_ptr<kernels::KvCache> cache, std::int64_t blocks)
      : model_(model), cache_(std::move(cache)), blocks_(static_cast<std::size_t>(blocks)) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  Model& model_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<std::int32_t> blocks_;
  std::vector<float> logits_;
};

/// Adds up over predictions.
class Tally {
 public:
  void add(Row source, Row other, std::int32_t next) {
    const double source_norm = log_normalizer(source), other_norm = log_normalizer(other);
    double divergence = 0.0;
    for (std::size_t i = 0; i < source.size(); ++i) {
      const double p = static_cast<double>(source[i]) - source_norm;
      divergence += std::exp(p) * (p - (static_cast<double>(other[i]) - other_norm));
    }
    divergence = std::max(divergence, 0.0);  // it is never under 0 but for rounding
    sum_.mean_divergence += divergence;
    sum_.largest_divergence = std::max(sum_.largest_divergence, divergence);
    sum_.source_perplexity += source_norm - source[static_cast<std::size_t>(next)];
    sum_.perplexity += other_norm - other[static_cast<std::size_t>(next)];
    sum_.same_top += top_of(source) == top_of(other) ? 1.0 : 0.0;
    ++sum_.predictions;
  }

  Quality result() const {
    Quality mean = sum_;
    const auto count = static_cast<double>(sum_.predictions);
    mean.source_perplexity = std::exp(sum_.source_perplexity / count);
    mean.perplexity = std::exp(sum_.perplexity / count);
    mean.mean_divergence /= count;
    mean.same_top /= count;
    return mean;
  }

 private:
  Quality sum_;
};

Status check(const Model& source, const Model& other, Tokens tokens, std::size_t context) {
  const std::int64_t vocab = source.config().vocab_size;
  if (other.config().vocab_size != vocab) return bad_input("the models' vocabularies differ");
  if (context < 4 || tokens.size() < context) {
    return Error{ErrorCode::kUsage,
                 "a text of " + std::to_string(tokens.size()) + " tokens is too short", "",
                 "Give at least " + std::to_string(std::max<std::size_t>(context, 4)) + "."};
  }
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < vocab) continue;
    return bad_input("token " + std::to_string(token) + " is outside the vocabulary of " +
                     std::to_string(vocab));
  }
  return {};
}

}  // namespace

Result<Quality> compare_models(Model& source, Model& other, kernels::Device& device, Tokens tokens,
                               const QualityOptions& options, const Progress& progress) {
  const auto context = static_cast<std::size_t>(std::max<std::int64_t>(options.context, 0));
  BUNDLE_CHECK(check(source, other, tokens, context));
  BUNDLE_TRY(Reader one, Reader::make(source, device, options.context));
  BUNDLE_TRY(Reader two, Reader::make(other, device, options.context));
  const auto vocab = static_cast<std::size_t>(source.config().vocab_size);
  const std::size_t chunks = tokens.size() / context, first = context / 2;
  Tally tally;
  for (std::size_t c = 0; c < chunks; ++c) {
    std::vector<std::int32_t> chunk(
        tokens.begin() + static_cast<std::ptrdiff_t>(c * context),
        tokens.begin() + static_cast<std::ptrdiff_t>((c + 1) * context));
    if (options.bos >= 0) chunk.front() = options.bos;
    const Row a = one.read(chunk, first), b = two.read(chunk, first);
    for (std::size_t i = first; i + 1 < context; ++i) {
      const std::size_t at = (i - first) * vocab;
      tally.add(a.subspan(at, vocab), b.subspan(at, vocab), chunk[i + 1]);
    }
    if (progress && !progress("comparing with the source", c + 1, chunks)) {
      return Error{ErrorCode::kInterrupted, "comparing the models was interrupted"};
    }
  }
  return tally.result();
}

}  // namespace bundle::model
