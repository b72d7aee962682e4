#include "runtime/tokenizer/hf_json.h"

namespace bundle::tokenizer {
namespace {

Result<AddedToken> read_added_token(const Json& value, std::string_view where) {
  AddedToken token;
  BUNDLE_TRY(const std::int64_t id, get_int(value, "id", where));
  if (id < 0 || id >= kMaxId)
    return bad_input("an added token's id is out of range", std::string(where));
  token.id = static_cast<std::int32_t>(id);
  BUNDLE_TRY(token.content, get_string(value, "content", where));
  BUNDLE_TRY(token.single_word, get_bool_or(value, "single_word", false, where));
  BUNDLE_TRY(token.lstrip, get_bool_or(value, "lstrip", false, where));
  BUNDLE_TRY(token.rstrip, get_bool_or(value, "rstrip", false, where));
  BUNDLE_TRY(token.special, get_bool_or(value, "special", false, where));
  BUNDLE_TRY(token.normalized, get_bool_or(value, "normalized", !token.special, where));
  return token;
}

// A token that the model's vocabulary has keeps its id there.
Status read_added_tokens(const Json* list, PipelineParts& parts, std::string_view where) {
  if (list == nullptr) return {};
  if (!list->is_array()) return bad_input("'added_tokens' is no list", std::string(where));
  for (const Json& item : list->get_array()) {
    BUNDLE_TRY(AddedToken token, read_added_token(item, where));
    if (const auto id = parts.vocabulary.find(token.content)) {
      token.id = *id;
    } else {
      BUNDLE_CHECK(parts.vocabulary.set(token.id, token.content));
    }
    parts.added.push_back(std::move(token));
  }
  return {};
}

}  // namespace

const Json* find_present(const Json& value, std::string_view key) {
  const Json* member = find(value, key);
  return member != nullptr && !member->is_null() ? member : nullptr;
}

Result<std::shared_ptr<const Tokenizer>> load_hf_json(const Json& document,
                                                      const JsonTables& tables,
                                                      std::string_view where,
                                                      const SpecialNames& names) {
  PipelineParts parts;
  BUNDLE_TRY(parts.normalizers, read_normalizers(find_present(document, "normalizer"), where));
  BUNDLE_TRY(PreTokenizerSteps pre,
             read_pre_tokenizers(find_present(document, "pre_tokenizer"), where));
  parts.pre_tokenizers = std::move(pre.steps);
  const Json* model = find_present(document, "model");
  if (model == nullptr) return bad_input("the tokenizer has no 'model'", std::string(where));
  BUNDLE_CHECK(read_model(*model, tables, pre.ends_in_byte_level, parts, where));
  parts.vocabulary.index();
  BUNDLE_CHECK(read_added_tokens(find_present(document, "added_tokens"), parts, where));
  parts.vocabulary.index();
  BUNDLE_CHECK(read_post_processor(find_present(document, "post_processor"), parts, where));
  parts.bos = parts.vocabulary.find(names.bos);
  parts.eos = parts.vocabulary.find(names.eos);
  BUNDLE_TRY(parts.decoder, read_decoder(find_present(document, "decoder"), where));
  return make_pipeline(std::move(parts));
}

}  // namespace bundle::tokenizer
