#include "runtime/tokenizer/gguf_tokenizer.h"

#include <algorithm>

#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/gguf_vocab.h"
#include "runtime/tokenizer/known_patterns.h"

namespace bundle::tokenizer {
namespace {

using TokenizerResult = Result<std::shared_ptr<const Tokenizer>>;

// The bytes that tokens stand for. Control and user-defined tokens are spelled as they are, and
// come out of the text before the model sees it.
std::shared_ptr<const Vocabulary> bytes_of(const GgufVocab& vocab) {
  auto words = std::make_shared<Vocabulary>();
  words->reserve(vocab.tokens.size(), vocab.tokens.size() * 8);
  for (std::size_t i = 0; i < vocab.tokens.size(); ++i) {
    if (vocab.types[i] == PieceType::kControl) continue;
    if (const auto bytes = byte_level_to_bytes(vocab.tokens[i])) {
      (void)words->set(static_cast<std::int64_t>(i), *bytes);  // ids were counted before
    }
  }
  words->index();
  return words;
}

// "left right"; the left one may itself begin with a space. A merge of tokens that are not there
// can join nothing and is left out.
MergeTable read_merges(const std::vector<std::string>& merges, const Vocabulary& vocabulary) {
  MergeTable table;
  table.reserve(merges.size());
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) continue;
    joined = merge.substr(0, space);
    joined += merge.substr(space + 1);
    const auto left = vocabulary.find(merge.substr(0, space));
    const auto right = vocabulary.find(merge.substr(space + 1));
    const auto id = vocabulary.find(joined);
    if (left && right && id) table.set(*left, *right, {static_cast<std::uint32_t>(rank), *id});
  }
  return table;
}

Status add_patterns(const NamedPreTokenizer& named, PipelineParts& parts) {
  if (named.nfc) parts.normalizers.push_back(normalize_unicode(UnicodeForm::kNfc));
  for (const std::string_view pattern : named.patterns) {
    BUNDLE_TRY(Regex regex, Regex::compile(pattern));
    parts.pre_tokenizers.push_back(
        split_at_pattern(std::move(regex), SplitBehavior::kIsolated, false));
  }
  return {};
}

TokenizerResult load_byte_level(const format::GgufMetadata& metadata, std::string_view where) {
  BUNDLE_TRY(const GgufVocab vocab, read_gguf_vocab(metadata, where));
  BUNDLE_TRY(const std::string name, metadata.get_string_or("tokenizer.ggml.pre", ""));
  const NamedPreTokenizer* named = find_pre_tokenizer(name);
  if (named == nullptr) {
    return bad_input("unknown pre-tokenizer '" + name + "'",
                     std::string(where) + " tokenizer.ggml.pre",
                     "This model needs a newer release.");
  }
  const std::vector<std::string>* merges = metadata.find_strings("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return bad_input("'tokenizer.ggml.merges' is missing", std::string(where));
  }
  PipelineParts parts;
  BUNDLE_CHECK(fill_from_gguf(vocab, parts));
  BUNDLE_CHECK(add_affixes(vocab, metadata, named->add_bos, false, parts));
  BUNDLE_CHECK(add_patterns(*named, parts));
  BUNDLE_TRY(const bool prefix, metadata.get_bool_or("tokenizer.ggml.add_space_prefix", false));
  if (prefix) parts.pre_tokenizers.insert(parts.pre_tokenizers.begin(), prefix_space());
  const auto words = bytes_of(vocab);
  BpeOptions options{.bytes = true};
  if (named->ignore_merges) options.whole = words;
  parts.model =
      std::make_unique<Bpe>(words, read_merges(*merges, parts.vocabulary), std::move(options));
  parts.decoder = Decoder({{.kind = DecodeStep::Kind::kByteLevel}});
  return make_pipeline(std::move(parts));
}

// Both SentencePiece models. T5's files have rules where llama's have defaults.
Result<SentencePieceModel> read_sentencepiece(const GgufVocab& vocab,
                                              const format::GgufMetadata& metadata, bool unigram) {
  SentencePieceModel model;
  model.pieces = vocab.tokens;
  model.types = vocab.types;
  model.scores = vocab.scores;
  model.unigram = unigram;
  model.unknown = vocab.unknown;
  model.byte_fallback =
      std::find(model.types.begin(), model.types.end(), PieceType::kByte) != model.types.end();
  SentencePieceNormalization& rules = model.normalization;
  BUNDLE_TRY(rules.add_dummy_prefix, metadata.get_bool_or("tokenizer.ggml.add_space_prefix", true));
  BUNDLE_TRY(rules.remove_extra_whitespaces,
             metadata.get_bool_or("tokenizer.ggml.remove_extra_whitespaces", false));
  if (metadata.find("tokenizer.ggml.precompiled_charsmap") != nullptr) {
    BUNDLE_TRY(const auto bytes, metadata.get_ints("tokenizer.ggml.precompiled_charsmap"));
    std::string blob;
    for (const std::int64_t byte : bytes) blob.push_back(static_cast<char>(byte & 0xff));
    BUNDLE_TRY(rules.charsmap, Charsmap::parse(blob));
  }
  return model;
}

TokenizerResult load_sentencepiece_metadata(const format::GgufMetadata& metadata, bool unigram,
                                            std::string_view where) {
  BUNDLE_TRY(GgufVocab vocab, read_gguf_vocab(metadata, where));
  // The ids that these models have when the file does not say.
  const auto given = [&](std::optional<std::int32_t>& id, std::int32_t fallback) {
    if (!id && static_cast<std::size_t>(fallback) < vocab.tokens.size()) id = fallback;
  };
  given(vocab.eos, unigram ? 1 : 2);
  given(vocab.unknown, unigram ? 2 : 0);
  if (!unigram) given(vocab.bos, 1);
  BUNDLE_TRY(const SentencePieceModel model, read_sentencepiece(vocab, metadata, unigram));
  PipelineParts parts;
  BUNDLE_CHECK(build_sentencepiece(model, true, parts));
  BUNDLE_CHECK(add_affixes(vocab, metadata, !unigram, unigram, parts));
  return make_pipeline(std::move(parts));
}

}  // namespace

TokenizerResult load_gguf_tokenizer(const format::GgufMetadata& metadata, std::string_view where) {
  BUNDLE_TRY(const std::string model, metadata.get_string_or("tokenizer.ggml.model", ""));
  if (model == "gpt2") return load_byte_level(metadata, where);
  if (model == "llama") return load_sentencepiece_metadata(metadata, false, where);
  if (model == "t5") return load_sentencepiece_metadata(metadata, true, where);
  if (model.empty() || model == "none" || model == "no_vocab") {
    return not_found("the file has no tokenizer", std::string(where));
  }
  return bad_input("unknown tokenizer model '" + model + "'",
                   std::string(where) + " tokenizer.ggml.model",
                   "This model needs a newer release.");
}

}  // namespace bundle::tokenizer
