// tiktoken's rank files ("base64 rank" lines) and Mistral's tekken.json: byte-level BPE in which
// two tokens join when their bytes are a token.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "runtime/tokenizer/json_reader.h"
#include "runtime/tokenizer/pipeline.h"

namespace bundle::tokenizer {

/// Whether a text looks like a rank file.
bool looks_like_ranks(std::string_view text);

/// A rank file carries neither pattern nor special tokens. They are those of the model that
/// `model_hint` names, or else of the published file with as many ranks.
Result<std::shared_ptr<const Tokenizer>> load_ranks(std::string_view text,
                                                    std::string_view model_hint, bool add_bos,
                                                    std::string_view where);

bool looks_like_tekken(const Json& document);
Result<std::shared_ptr<const Tokenizer>> load_tekken(const Json& document, const JsonTables& tables,
                                                     bool add_bos, std::string_view where);

/// Ranks with everything that goes with them.
struct RankedTokens {
  std::vector<std::string> tokens;  // by rank
  std::int32_t first_id = 0;        // id of rank 0
  std::vector<std::pair<std::int32_t, std::string>> specials;
  std::string pattern;
  bool nfc = false;
  std::string bos;  // "" when the model has none
  std::string eos;
  bool add_bos = false;
};
Result<std::shared_ptr<const Tokenizer>> make_ranked(RankedTokens ranked, std::string_view where);

}  // namespace bundle::tokenizer
