// The models of tokenizer.json.
#include <algorithm>

#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/hf_json.h"
#include "runtime/tokenizer/unigram.h"
#include "runtime/tokenizer/word_piece.h"

namespace bundle::tokenizer {
namespace {

Error bad_table(const char* what, std::string_view where) {
  return bad_input(std::string("the model's '") + what + "' is not what it should be",
                   std::string(where));
}

// {"token": id}
Status read_vocab_object(const JsonTables& tables, Vocabulary& vocabulary, std::string_view where) {
  JsonReader reader(tables.vocab);
  Status status;
  vocabulary.reserve(tables.vocab.size() / 16, tables.vocab.size() / 2);
  const bool whole = reader.read_object([&](const std::string& token) {
    std::int64_t id = 0;
    if (!reader.read_integer(id)) return false;
    status = vocabulary.set(id, token);
    return !status.has_error();
  });
  if (status.has_error()) return status;
  if (!whole || !reader.done()) return bad_table("vocab", where);
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
  std::string left;
  std::string right;
};

// "left right" or ["left", "right"].
bool read_merge(JsonReader& reader, MergeText& merge) {
  if (reader.peek() == '[') {
    return reader.take('[') && reader.read_string(merge.left) && reader.take(',') &&
           reader.read_string(merge.right) && reader.take(']');
  }
  if (!reader.read_string(merge.left)) return false;
  const std::size_t space = merge.left.find(' ');
  if (space == std::string::npos || merge.left.find(' ', space + 1) != std::string::npos) {
    return false;
  }
  merge.right.assign(merge.left, space + 1);
  merge.left.resize(space);
  return true;
}

// False when a token is not in the vocabulary.
bool add_merge(const MergeText& merge, const Vocabulary& vocabulary, const std::string& prefix,
               std::uint32_t rank, MergeTable& table) {
  const std::string_view right_text = merge.right;
  std::string joined = merge.left;
  joined += right_text.substr(std::min(prefix.size(), right_text.size()));
  const auto left = vocabulary.find(merge.left);
  const auto right = vocabulary.find(merge.right);
  const auto id = vocabulary.find(joined);
  if (!left || !right || !id) return false;
  table.set(*left, *right, {rank, *id});
  return true;
}

Status read_merges(const JsonTables& tables, const Vocabulary& vocabulary,
                   const std::string& prefix, MergeTable& table, std::string_view where) {
  JsonReader reader(tables.merges);
  MergeText merge;
  std::uint32_t rank = 0;
  bool known = true;
  table.reserve(tables.merges.size() / 12);
  const bool whole = reader.read_list([&] {
    if (!read_merge(reader, merge)) return false;
    known = add_merge(merge, vocabulary, prefix, rank++, table);
    return known;
  });
  if (!known) {
    return bad_input("a merge names tokens that are not in the vocabulary",
                     std::string(where) + " merge " + std::to_string(rank - 1));
  }
  if (!whole || !reader.done()) return bad_table("merges", where);
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

Status read_bpe(const Json& model, const JsonTables& tables, bool byte_level, PipelineParts& parts,
                std::string_view where) {
  BUNDLE_CHECK(read_vocab_object(tables, parts.vocabulary, where));
  BUNDLE_TRY(BpeOptions options, read_bpe_options(model, parts.vocabulary, where));
  MergeTable merges;
  BUNDLE_CHECK(read_merges(tables, parts.vocabulary, options.continuing_prefix, merges, where));
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
Status read_pieces(const JsonTables& tables, Vocabulary& vocabulary, std::vector<double>& scores,
                   std::string_view where) {
  JsonReader reader(tables.vocab);
  std::string piece;
  Status status;
  const bool whole = reader.read_list([&] {
    double score = 0;
    const bool pair = reader.take('[') && reader.read_string(piece) && reader.take(',') &&
                      reader.read_double(score) && reader.take(']');
    if (!pair) return false;
    status = vocabulary.set(static_cast<std::int64_t>(scores.size()), piece);
    scores.push_back(score);
    return !status.has_error();
  });
  if (status.has_error()) return status;
  if (!whole || !reader.done()) return bad_table("vocab", where);
  vocabulary.index();
  return {};
}

Status read_unigram(const Json& model, const JsonTables& tables, PipelineParts& parts,
                    std::string_view where) {
  std::vector<double> scores;
  BUNDLE_CHECK(read_pieces(tables, parts.vocabulary, scores, where));
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

Status read_word_piece(const Json& model, const JsonTables& tables, PipelineParts& parts,
                       std::string_view where) {
  constexpr std::int64_t kMostCharacters = 10'000;
  BUNDLE_CHECK(read_vocab_object(tables, parts.vocabulary, where));
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

Status read_word_level(const Json& model, const JsonTables& tables, PipelineParts& parts,
                       std::string_view where) {
  BUNDLE_CHECK(read_vocab_object(tables, parts.vocabulary, where));
  BUNDLE_TRY(const auto unknown, read_unknown(model, parts.vocabulary, where));
  parts.model =
      std::make_unique<WordLevel>(std::make_shared<const Vocabulary>(parts.vocabulary), unknown);
  return {};
}

// Files of old releases do not name the model.
std::string guess_type(const Json& model, const JsonTables& tables) {
  if (!tables.merges.empty()) return "BPE";
  if (tables.vocab.substr(0, 1) == "[") return "Unigram";
  return find(model, "continuing_subword_prefix") != nullptr ? "WordPiece" : "WordLevel";
}

}  // namespace

Status read_model(const Json& model, const JsonTables& tables, bool byte_level,
                  PipelineParts& parts, std::string_view where) {
  BUNDLE_TRY(const std::string type,
             get_string_or(model, "type", guess_type(model, tables), where));
  if (type == "BPE") return read_bpe(model, tables, byte_level, parts, where);
  if (byte_level) parts.pre_tokenizers.push_back(spell_byte_level());
  if (type == "Unigram") return read_unigram(model, tables, parts, where);
  if (type == "WordPiece") return read_word_piece(model, tables, parts, where);
  if (type == "WordLevel") return read_word_level(model, tables, parts, where);
  return bad_input("unknown tokenizer model '" + type + "'", std::string(where),
                   "This tokenizer needs a newer release.");
}

}  // namespace bundle::tokenizer
