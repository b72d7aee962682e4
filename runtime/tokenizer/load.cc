// Which loader a file needs, told by its content.
#include "base/json.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/hf_json.h"
#include "runtime/tokenizer/rank_file.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bundle::tokenizer {
namespace {

using TokenizerResult = Result<std::shared_ptr<const Tokenizer>>;

constexpr std::uint64_t kMaxFile = 256u << 20;

/// What is known of a file beside its content.
struct Hints {
  std::string model;
  SpecialNames names;
  bool add_bos = false;  // where the file itself does not say
};

bool looks_like_json(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

TokenizerResult load_json(std::string_view text, const Hints& hints, std::string_view where) {
  const JsonTables tables = cut_tables(text);
  BUNDLE_TRY(const Json document, parse_json(tables.rest, where));
  if (looks_like_tekken(document)) return load_tekken(document, tables, hints.add_bos, where);
  return load_hf_json(document, tables, where, hints.names);
}

TokenizerResult load_text(std::string_view text, const Hints& hints, std::string_view where) {
  if (looks_like_json(text)) return load_json(text, hints, where);
  if (looks_like_sentencepiece(text)) return load_sentencepiece(text, hints.add_bos, where);
  if (looks_like_ranks(text)) return load_ranks(text, hints.model, hints.add_bos, where);
  return bad_input("the file is no tokenizer", std::string(where),
                   "Give a tokenizer.json, a GGUF file, a SentencePiece model, a tiktoken rank "
                   "file or a tekken.json.");
}

// "<s>" or {"content": "<s>", …}.
std::string token_name(const Json& config, const char* key) {
  const Json* token = find(config, key);
  if (token != nullptr && token->is_object()) token = find(*token, "content");
  if (token == nullptr || !token->is_string()) return {};
  const auto& text = token->get_string();
  return {text.data(), text.size()};
}

// From tokenizer_config.json, if the model has one.
Result<Hints> read_hints(const format::ModelSource& source) {
  constexpr const char* kConfig = "tokenizer_config.json";
  Hints hints;
  hints.add_bos = true;
  if (source.find(kConfig) == nullptr) return hints;
  BUNDLE_TRY(const std::string text, source.read(kConfig));
  BUNDLE_TRY(const Json config, parse_json(text, kConfig));
  hints.names = {token_name(config, "bos_token"), token_name(config, "eos_token")};
  BUNDLE_TRY(hints.add_bos, get_bool_or(config, "add_bos_token", true, kConfig));
  return hints;
}

TokenizerResult load_gguf_file(const Path& path) {
  BUNDLE_TRY(const MappedFile file, MappedFile::open(path));
  BUNDLE_TRY(const format::GgufFile gguf, format::parse_gguf(file.bytes(), path.string()));
  return load_gguf_tokenizer(gguf.metadata, path.string());
}

Result<bool> is_gguf(const Path& path) {
  BUNDLE_TRY(const MappedFile file, MappedFile::open(path));
  return as_text(file.bytes()).substr(0, 4) == "GGUF";
}

}  // namespace

TokenizerResult load_tokenizer(const format::Checkpoint& checkpoint) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tekken.json"}) {
    if (checkpoint.source().find(name) == nullptr) continue;
    BUNDLE_TRY(const std::string text, checkpoint.source().read(name, kMaxFile));
    BUNDLE_TRY(const Hints hints, read_hints(checkpoint.source()));
    return load_text(text, hints, name);
  }
  if (checkpoint.is_gguf()) return load_gguf_tokenizer(*checkpoint.gguf(), "the GGUF file");
  return not_found("the model has no tokenizer", "",
                   "It serves token ids only; add its tokenizer.json to serve text.");
}

TokenizerResult load_tokenizer_file(const Path& path, std::string_view model_hint) {
  BUNDLE_TRY(const bool gguf, is_gguf(path));
  if (gguf) return load_gguf_file(path);
  BUNDLE_TRY(const std::string text, read_file(path, kMaxFile));
  return load_text(text, {std::string(model_hint), {}, false}, path.string());
}

}  // namespace bundle::tokenizer
