// Mistral's tekken.json: ranks as a list of objects, the pattern beside them, special tokens first.
#include "runtime/tokenizer/base64.h"
#include "runtime/tokenizer/rank_file.h"
#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {
namespace {

// Of files that list no special tokens.
constexpr std::string_view kOldSpecials[] = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
};

Result<std::vector<std::string>> special_names(const Json& document, std::size_t count,
                                               std::string_view where) {
  std::vector<std::string> names;
  const Json* list = find(document, "special_tokens");
  if (list == nullptr || list->is_null()) {
    for (const std::string_view name : kOldSpecials) names.emplace_back(name);
  } else if (list->is_array()) {
    for (const Json& item : list->get_array()) {
      BUNDLE_TRY(std::string name, get_string(item, "token_str", where));
      names.push_back(std::move(name));
    }
  } else {
    return bad_input("'special_tokens' is no list", std::string(where));
  }
  if (names.size() > count)
    return bad_input("there are more special tokens than ids", std::string(where));
  while (names.size() < count) names.push_back("<SPECIAL_" + std::to_string(names.size()) + ">");
  return names;
}

struct TekkenToken {
  std::int64_t rank = -1;
  std::string bytes;  // base64
};

bool read_token(JsonReader& reader, TekkenToken& token) {
  token.rank = -1;
  token.bytes.clear();
  return reader.read_object([&](const std::string& key) {
    if (key == "rank") return reader.read_integer(token.rank);
    if (key == "token_bytes") return reader.read_string(token.bytes);
    return reader.skip_value();
  });
}

// The first `count` tokens; a file may hold more than its configuration uses.
Result<std::vector<std::string>> read_vocab(const JsonTables& tables, std::size_t count,
                                            std::string_view where) {
  std::vector<std::string> tokens;
  JsonReader reader(tables.vocab);
  TekkenToken token;
  const bool whole = reader.read_list([&] {
    if (!read_token(reader, token)) return false;
    if (tokens.size() == count) return true;
    auto bytes = decode_base64(token.bytes);
    if (!bytes || token.rank != static_cast<std::int64_t>(tokens.size())) return false;
    tokens.push_back(std::move(*bytes));
    return true;
  });
  if (!whole || !reader.done()) {
    return bad_input("token " + std::to_string(tokens.size()) + " has a bad rank or bytes",
                     std::string(where));
  }
  if (tokens.size() < count) {
    return bad_input("'vocab' is shorter than the configuration says", std::string(where));
  }
  return tokens;
}

}  // namespace

bool looks_like_tekken(const Json& document) {
  const Json* config = find(document, "config");
  return config != nullptr && find(*config, "pattern") != nullptr;
}

Result<std::shared_ptr<const Tokenizer>> load_tekken(const Json& document, const JsonTables& tables,
                                                     bool add_bos, std::string_view where) {
  const Json* config = find(document, "config");
  if (config == nullptr) return bad_input("there is no 'config'", std::string(where));
  RankedTokens ranked;
  BUNDLE_TRY(ranked.pattern, get_string(*config, "pattern", where));
  BUNDLE_TRY(const std::int64_t all, get_int(*config, "default_vocab_size", where));
  BUNDLE_TRY(const std::int64_t special, get_int(*config, "default_num_special_tokens", where));
  if (special < 0 || special > all || all > kMaxId) {
    return bad_input("the sizes of the vocabulary make no sense", std::string(where));
  }
  BUNDLE_TRY(const auto names, special_names(document, static_cast<std::size_t>(special), where));
  for (std::size_t i = 0; i < names.size(); ++i) {
    ranked.specials.emplace_back(static_cast<std::int32_t>(i), names[i]);
  }
  BUNDLE_TRY(ranked.tokens, read_vocab(tables, static_cast<std::size_t>(all - special), where));
  ranked.first_id = static_cast<std::int32_t>(special);
  ranked.bos = "<s>";
  ranked.eos = "</s>";
  ranked.add_bos = add_bos;
  return make_ranked(std::move(ranked), where);
}

}  // namespace bundle::tokenizer
