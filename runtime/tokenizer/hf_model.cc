// The models of tokenizer.json.
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/hf_json.h"
#include "runtime/tokenizer/unigram.h"
#include "runtime/tokenizer/word_piece.h"

namespace bundle::tokenizer {
namespace {

Result<const JsonObject*> find_vocab_object(const Json& model, std::string_view where) {
  const Json* vocab = find(model, "vocab");
  if (vocab == nullptr || !vocab->is_object()) {
    return bad_input("the model has no object 'vocab'", std::string(where));
  }
  return &vocab->get_object();
}

// {"token": id}
Status read_vocab_object(const Json& model, Vocabulary& vocabulary, std::string_view where) {
  BUNDLE_TRY(const JsonObject* vocab, find_vocab_object(model, where));
  vocabulary.reserve(vocab->size(), vocab->size() * 8);
  for (const auto& item : *vocab) {
    if (!item.value().is_int64()) return bad_input("a token's id is no number", std::string(where));
    BUNDLE_CHECK(vocabulary.set(item.value().get_int64(),
                                std::string_view(item.key().data(), item.key().size())));
  }
  vocabulary.index();
  return {};
}

Result<std::optional<std::int32_t>> read_unknown(const Json& model, const Vocabulary& vocabulary,
                                                 std::string_view where) {
  BUNDLE_TRY(const std::string token, get_string_or(model, "unk_token", "", where));
  if (token.empty()) return std::optional<std::int32_t>();
  return vocabulary.find(token);
}

struct MergeText {
  std::string_view left;
  std::string_view right;
};

std::string_view text_of(const Json& value) {
  const auto& text = value.get_string();
  return {text.data(), text.size()};
}

// "left right" or ["left", "right"].
Result<MergeText> read_merge(const Json& value, std::string_view where) {
  const Error bad = bad_input("a merge is no pair of tokens", std::string(where));
  if (value.is_array()) {
    const JsonArray& pair = value.get_array();
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) return bad;
    return MergeText{text_of(pair[0]), text_of(pair[1])};
  }
  if (!value.is_string()) return bad;
  const std::string_view text = text_of(value);
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    return bad;
  }
  return MergeText{text.substr(0, space), text.substr(space + 1)};
}

Status read_merges(const Json& model, const Vocabulary& vocabulary, const std::string& prefix,
                   MergeTable& table, std::string_view where) {
  const Json* merges = find(model, "merges");
  if (merges == nullptr || !merges->is_array()) {
    return bad_input("the model has no list 'merges'", std::string(where));
  }
  const JsonArray& list = merges->get_array();
  table.reserve(list.size());
  std::string joined;
  for (std::size_t rank = 0; rank < list.size(); ++rank) {
    BUNDLE_TRY(const MergeText merge, read_merge(list[rank], where));
    joined = merge.left;
    joined += merge.right.substr(std::min(prefix.size(), merge.right.size()));
    const auto left = vocabulary.find(merge.left);
    const auto right = vocabulary.find(merge.right);
    const auto id = vocabulary.find(joined);
    if (!left || !right || !id) {
      return bad_input("a merge names tokens that are not in the vocabulary",
                       std::string(where) + " merge " + std::to_string(rank));
    }
    table.set(*left, *right, {static_cast<std::uint32_t>(rank), *id});
  }
  return {};
}

Result<BpeOptions> read_bpe_options(const Json& model, const Vocabulary& vocabulary,
                                    std::string_view where) {
  BpeOptions options;
  BUNDLE_TRY(options.byte_fallback, get_bool_or(model, "byte_fallback", false, where));
  BUNDLE_TRY(options.fuse_unknown, get_bool_or(model, "fuse_unk", false, where));
  BUNDLE_TRY(options.unknown, read_unknown(model, vocabulary, where));
  BUNDLE_TRY(options.continuing_prefix,
             get_string_or(model, "continuing_subword_prefix", "", where));
  BUNDLE_TRY(options.word_suffix, get_string_or(model, "end_of_word_suffix", "", where));
  return options;
}

// A copy with the bytes that the spellings stand for. Tokens that are spelled otherwise can come
// out of no text.
std::shared_ptr<const Vocabulary> bytes_of(const Vocabulary& spelled) {
  auto words = std::make_shared<Vocabulary>();
  words->reserve(static_cast<std::size_t>(spelled.size()), 0);
  for (std::int32_t id = 0; id < spelled.size(); ++id) {
    if (!spelled.has(id)) continue;
    if (const auto bytes = byte_level_to_bytes(spelled.spelling(id))) {
      (void)words->set(id, *bytes);  // the id was in range before
    }
  }
  words->index();
  return words;
}

Status read_bpe(const Json& model, bool byte_level, PipelineParts& parts, std::string_view where) {
  BUNDLE_CHECK(read_vocab_object(model, parts.vocabulary, where));
  BUNDLE_TRY(BpeOptions options, read_bpe_options(model, parts.vocabulary, where));
  MergeTable merges;
  BUNDLE_CHECK(read_merges(model, parts.vocabulary, options.continuing_prefix, merges, where));
  const bool plain = options.continuing_prefix.empty() && options.word_suffix.empty();
  options.bytes = byte_level && plain && !options.byte_fallback;
  if (byte_level && !options.bytes) parts.pre_tokenizers.push_back(spell_byte_level());
  auto words = options.bytes ? bytes_of(parts.vocabulary)
                             : std::make_shared<const Vocabulary>(parts.vocabulary);
  BUNDLE_TRY(const bool ignore_merges, get_bool_or(model, "ignore_merges", false, where));
  if (ignore_merges) options.whole = words;
  parts.model = std::make_unique<Bpe>(std::move(words), std::move(merges), std::move(options));
  return {};
}

// [["piece", score], …]
Status read_unigram(const Json& model, PipelineParts& parts, std::string_view where) {
  const Json* vocab = find(model, "vocab");
  if (vocab == nullptr || !vocab->is_array()) {
    return bad_input("the model has no list 'vocab'", std::string(where));
  }
  std::vector<double> scores;
  for (const Json& item : vocab->get_array()) {
    const bool pair = item.is_array() && item.get_array().size() == 2 &&
                      item.get_array()[0].is_string() && item.get_array()[1].is_number();
    if (!pair) return bad_input("a piece is no spelling and score", std::string(where));
    BUNDLE_CHECK(parts.vocabulary.set(static_cast<std::int64_t>(scores.size()),
                                      text_of(item.get_array()[0])));
    scores.push_back(item.get_array()[1].to_number<double>());
  }
  parts.vocabulary.index();
  UnigramOptions options;
  if (find_present(model, "unk_id") != nullptr) {
    BUNDLE_TRY(const std::int64_t unknown, get_int(model, "unk_id", where));
    if (unknown < 0 || static_cast<std::size_t>(unknown) >= scores.size()) {
      return bad_input("'unk_id' is out of range", std::string(where));
    }
    options.unknown = static_cast<std::int32_t>(unknown);
  }
  BUNDLE_TRY(options.byte_fallback, get_bool_or(model, "byte_fallback", false, where));
  const std::vector<bool> usable(scores.size(), true);
  parts.model = std::make_unique<Unigram>(std::make_shared<const Vocabulary>(parts.vocabulary),
                                          std::move(scores), usable, options);
  return {};
}

Status read_word_piece(const Json& model, PipelineParts& parts, std::string_view where) {
  constexpr std::int64_t kMostCharacters = 10'000;
  BUNDLE_CHECK(read_vocab_object(model, parts.vocabulary, where));
  WordPieceOptions options;
  BUNDLE_TRY(options.unknown, read_unknown(model, parts.vocabulary, where));
  BUNDLE_TRY(options.continuing_prefix,
             get_string_or(model, "continuing_subword_prefix", "##", where));
  BUNDLE_TRY(const std::int64_t most, get_int_or(model, "max_input_chars_per_word", 100, where));
  if (most < 0 || most > kMostCharacters) {
    return bad_input("'max_input_chars_per_word' is out of range", std::string(where));
  }
  options.max_characters = static_cast<std::size_t>(most);
  parts.model = std::make_unique<WordPiece>(std::make_shared<const Vocabulary>(parts.vocabulary),
                                            std::move(options));
  return {};
}

Status read_word_level(const Json& model, PipelineParts& parts, std::string_view where) {
  BUNDLE_CHECK(read_vocab_object(model, parts.vocabulary, where));
  BUNDLE_TRY(const auto unknown, read_unknown(model, parts.vocabulary, where));
  parts.model =
      std::make_unique<WordLevel>(std::make_shared<const Vocabulary>(parts.vocabulary), unknown);
  return {};
}

// Files of old releases do not name the model.
std::string guess_type(const Json& model) {
  if (find(model, "merges") != nullptr) return "BPE";
  const Json* vocab = find(model, "vocab");
  if (vocab != nullptr && vocab->is_array()) return "Unigram";
  return find(model, "continuing_subword_prefix") != nullptr ? "WordPiece" : "WordLevel";
}

}  // namespace

Status read_model(const Json& model, bool byte_level, PipelineParts& parts,
                  std::string_view where) {
  BUNDLE_TRY(const std::string type, get_string_or(model, "type", guess_type(model), where));
  if (type == "BPE") return read_bpe(model, byte_level, parts, where);
  if (byte_level) parts.pre_tokenizers.push_back(spell_byte_level());
  if (type == "Unigram") return read_unigram(model, parts, where);
  if (type == "WordPiece") return read_word_piece(model, parts, where);
  if (type == "WordLevel") return read_word_level(model, parts, where);
  return bad_input("unknown tokenizer model '" + type + "'", std::string(where),
                   "This tokenizer needs a newer release.");
}

}  // namespace bundle::tokenizer
