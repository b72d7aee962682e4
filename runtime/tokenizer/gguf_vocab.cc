#include "runtime/tokenizer/gguf_vocab.h"

#include "base/text.h"

namespace bundle::tokenizer {
namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";

Result<std::optional<std::int32_t>> read_id(const format::GgufMetadata& metadata, const char* key,
                                            std::size_t tokens, std::string_view where) {
  const std::string name = std::string(kPrefix) + key;
  BUNDLE_TRY(const std::int64_t id, metadata.get_int_or(name, -1));
  // Some files say 2^32 - 1 for "none".
  if (id < 0 || id == 0xffffffff) return std::optional<std::int32_t>();
  if (static_cast<std::uint64_t>(id) >= tokens) {
    return bad_input("'" + name + "' is out of range", std::string(where));
  }
  return std::optional(static_cast<std::int32_t>(id));
}

Error wrong_length(const char* what, std::string_view where) {
  return bad_input(std::string("'tokenizer.ggml.") + what + "' is not as long as the tokens",
                   std::string(where));
}

Status read_types(const format::GgufMetadata& metadata, GgufVocab& vocab, std::string_view where) {
  vocab.types.assign(vocab.tokens.size(), PieceType::kNormal);
  if (metadata.find("tokenizer.ggml.token_type") == nullptr) return {};
  BUNDLE_TRY(const auto types, metadata.get_ints("tokenizer.ggml.token_type"));
  if (types.size() != vocab.tokens.size()) return wrong_length("token_type", where);
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] >= 1 && types[i] <= 6) vocab.types[i] = static_cast<PieceType>(types[i]);
  }
  return {};
}

Status read_scores(const format::GgufMetadata& metadata, GgufVocab& vocab, std::string_view where) {
  vocab.scores.assign(vocab.tokens.size(), 0);
  if (metadata.find("tokenizer.ggml.scores") == nullptr) return {};
  BUNDLE_TRY(const auto scores, metadata.get_doubles("tokenizer.ggml.scores"));
  if (scores.size() != vocab.tokens.size()) return wrong_length("scores", where);
  for (std::size_t i = 0; i < scores.size(); ++i) vocab.scores[i] = static_cast<float>(scores[i]);
  return {};
}

}  // namespace

Result<GgufVocab> read_gguf_vocab(const format::GgufMetadata& metadata, std::string_view where) {
  const std::vector<std::string>* tokens = metadata.find_strings("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->empty()) {
    return not_found("the file has no tokenizer", std::string(where));
  }
  if (tokens->size() > static_cast<std::size_t>(kMaxId)) {
    return bad_input("the vocabulary is too large", std::string(where));
  }
  GgufVocab vocab;
  vocab.tokens = *tokens;
  for (std::string& token : vocab.tokens) {
    if (!is_valid_utf8(token)) token = replace_invalid_utf8(token);
  }
  BUNDLE_CHECK(read_types(metadata, vocab, where));
  BUNDLE_CHECK(read_scores(metadata, vocab, where));
  const std::size_t count = vocab.tokens.size();
  BUNDLE_TRY(vocab.bos, read_id(metadata, "bos_token_id", count, where));
  BUNDLE_TRY(vocab.eos, read_id(metadata, "eos_token_id", count, where));
  BUNDLE_TRY(vocab.unknown, read_id(metadata, "unknown_token_id", count, where));
  return vocab;
}

Status fill_from_gguf(const GgufVocab& vocab, PipelineParts& parts) {
  parts.vocabulary.reserve(vocab.tokens.size(), vocab.tokens.size() * 8);
  for (std::size_t i = 0; i < vocab.tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    BUNDLE_CHECK(parts.vocabulary.set(id, vocab.tokens[i]));
    const bool control = vocab.types[i] == PieceType::kControl;
    if (!control && vocab.types[i] != PieceType::kUserDefined) continue;
    AddedToken token{.id = id, .content = vocab.tokens[i]};
    token.special = control;
    parts.added.push_back(std::move(token));
  }
  parts.vocabulary.index();
  return {};
}

Status add_affixes(const GgufVocab& vocab, const format::GgufMetadata& metadata, bool adds_bos,
                   bool adds_eos, PipelineParts& parts) {
  parts.bos = vocab.bos;
  parts.eos = vocab.eos;
  BUNDLE_TRY(adds_bos, metadata.get_bool_or("tokenizer.ggml.add_bos_token", adds_bos));
  BUNDLE_TRY(adds_eos, metadata.get_bool_or("tokenizer.ggml.add_eos_token", adds_eos));
  if (adds_bos && parts.bos) parts.before.push_back(*parts.bos);
  if (adds_eos && parts.eos) parts.after.push_back(*parts.eos);
  return {};
}

}  // namespace bundle::tokenizer
