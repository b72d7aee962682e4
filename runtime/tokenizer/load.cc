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

bool looks_like_json(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

TokenizerResult load_json(std::string_view text, bool add_bos, std::string_view where) {
  BUNDLE_TRY(const Json document, parse_json(text, where));
  if (looks_like_tekken(document)) return load_tekken(document, add_bos, where);
  return load_hf_json(document, where);
}

TokenizerResult load_text(std::string_view text, std::string_view model_hint, bool add_bos,
                          std::string_view where) {
  if (looks_like_json(text)) return load_json(text, add_bos, where);
  if (looks_like_sentencepiece(text)) return load_sentencepiece(text, add_bos, where);
  if (looks_like_ranks(text)) return load_ranks(text, model_hint, add_bos, where);
  return bad_input("the file is no tokenizer", std::string(where),
                   "Give a tokenizer.json, a GGUF file, a SentencePiece model, a tiktoken rank "
                   "file or a tekken.json.");
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
    return load_text(text, "", true, name);
  }
  if (checkpoint.is_gguf()) return load_gguf_tokenizer(*checkpoint.gguf(), "the GGUF file");
  return not_found("the model has no tokenizer", "",
                   "It serves token ids only; add its tokenizer.json to serve text.");
}

TokenizerResult load_tokenizer_file(const Path& path, std::string_view model_hint) {
  BUNDLE_TRY(const bool gguf, is_gguf(path));
  if (gguf) return load_gguf_file(path);
  BUNDLE_TRY(const std::string text, read_file(path, kMaxFile));
  return load_text(text, model_hint, false, path.string());
}

}  // namespace bundle::tokenizer
