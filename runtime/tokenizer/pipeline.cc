#include "runtime/tokenizer/pipeline.h"

#include <unordered_set>

#include "base/text.h"
#include "runtime/tokenizer/word_cache.h"

namespace bundle::tokenizer {
namespace {

void normalize(const std::vector<NormalizerPtr>& normalizers, std::string& text) {
  for (const NormalizerPtr& normalizer : normalizers) normalizer->apply(text);
}

class Pipeline final : public Tokenizer {
 public:
  Pipeline(PipelineParts parts, TokenMatcher raw, TokenMatcher normalized)
      : parts_(std::move(parts)), raw_(std::move(raw)), normalized_(std::move(normalized)) {
    for (const AddedToken& token : parts_.added) {
      if (token.special) special_.insert(token.id);
    }
  }

  std::vector<std::int32_t> encode(std::string_view text,
                                   const EncodeOptions& options) const override {
    std::string repaired;
    if (!is_valid_utf8(text)) {
      repaired = replace_invalid_utf8(text);
      text = repaired;
    }
    std::vector<std::int32_t> ids;
    ids.reserve(text.size() / 3 + 4);
    if (options.add_special) ids = parts_.before;
    std::vector<Section> sections;
    raw_.split(text, options.parse_special, sections);
    const WordCaches::Lease cache = caches_.lend();
    for (const Section& section : sections) {
      if (section.id >= 0) {
        ids.push_back(section.id);
      } else {
        encode_raw(section.text, section.text.data() == text.data(), options, *cache, ids);
      }
    }
    if (options.add_special) ids.insert(ids.end(), parts_.after.begin(), parts_.after.end());
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const override {
    std::string bytes;
    DecodeState state;
    for (const std::int32_t id : ids) decode_next(id, skip_special, state, bytes);
    return bytes;
  }

  void decode_next(std::int32_t id, bool skip_special, DecodeState& state,
                   std::string& bytes) const override {
    if (!parts_.vocabulary.has(id) || (skip_special && is_special(id))) return;
    parts_.decoder.append(parts_.vocabulary.spelling(id), state, bytes);
  }

  std::string token_bytes(std::int32_t id) const override {
    std::string bytes;
    DecodeState state = middle_of_text();
    decode_next(id, false, state, bytes);
    return bytes;
  }

  std::string token_text(std::int32_t id) const override {
    return std::string(parts_.vocabulary.spelling(id));
  }
  std::optional<std::int32_t> token_id(std::string_view spelling) const override {
    return parts_.vocabulary.find(spelling);
  }
  bool is_special(std::int32_t id) const override { return special_.count(id) != 0; }
  std::int32_t vocab_size() const override { return parts_.vocabulary.size(); }
  std::optional<std::int32_t> bos_id() const override { return parts_.bos; }
  std::optional<std::int32_t> eos_id() const override { return parts_.eos; }

 private:
  void encode_raw(std::string_view text, bool starts, const EncodeOptions& options,
                  WordCache& cache, std::vector<std::int32_t>& ids) const {
    std::string clean(text);
    normalize(parts_.normalizers, clean);
    if (normalized_.empty()) {
      encode_text(std::move(clean), starts, cache, ids);
      return;
    }
    std::vector<Section> sections;
    normalized_.split(clean, options.parse_special, sections);
    for (const Section& section : sections) {
      if (section.id >= 0) {
        ids.push_back(section.id);
      } else {
        const bool first = starts && section.text.data() == clean.data();
        encode_text(std::string(section.text), first, cache, ids);
      }
    }
  }

  void encode_text(std::string text, bool starts, WordCache& cache,
                   std::vector<std::int32_t>& ids) const {
    Pieces pieces(std::move(text), starts);
    for (const PreTokenizerPtr& step : parts_.pre_tokenizers) step->apply(pieces);
    for (const Pieces::Range& range : pieces.ranges) encode_word(pieces.view(range), cache, ids);
  }

  void encode_word(std::string_view word, WordCache& cache, std::vector<std::int32_t>& ids) const {
    if (!WordCache::holds(word)) {
      parts_.model->tokenize(word, ids);
      return;
    }
    const std::uint64_t hash = hash_bytes(word);
    if (const auto known = cache.find(word, hash); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
    const std::size_t before = ids.size();
    parts_.model->tokenize(word, ids);
    cache.store(word, hash, std::span(ids).subspan(before));
  }

  PipelineParts parts_;
  TokenMatcher raw_;
  TokenMatcher normalized_;
  std::unordered_set<std::int32_t> special_;
  mutable WordCaches caches_;
};

// Those that are looked for in raw text, or in normalized text by their own normalized spelling.
Result<TokenMatcher> build_matcher(const PipelineParts& parts, bool normalized) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> spellings;
  for (const AddedToken& token : parts.added) {
    if (token.normalized != normalized) continue;
    tokens.push_back(token);
    spellings.push_back(token.content);
    if (normalized) normalize(parts.normalizers, spellings.back());
  }
  return TokenMatcher::build(std::move(tokens), spellings);
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_pipeline(PipelineParts parts) {
  parts.vocabulary.index();
  BUNDLE_TRY(TokenMatcher raw, build_matcher(parts, false));
  BUNDLE_TRY(TokenMatcher normalized, build_matcher(parts, true));
  return std::shared_ptr<const Tokenizer>(
      std::make_shared<Pipeline>(std::move(parts), std::move(raw), std::move(normalized)));
}

}  // namespace bundle::tokenizer
