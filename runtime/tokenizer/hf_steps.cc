// The steps of tokenizer.json around its model.
#include <functional>

#include "runtime/tokenizer/base64.h"
#include "runtime/tokenizer/hf_json.h"

namespace bundle::tokenizer {
namespace {

Error unknown_type(const char* what, const std::string& type, std::string_view where) {
  return bad_input(std::string("unknown ") + what + " '" + type + "'", std::string(where),
                   "This tokenizer needs a newer release.");
}

Result<std::string> pattern_text(const Json& step, bool& is_regex, std::string_view where) {
  const Json* pattern = find(step, "pattern");
  if (pattern == nullptr) return bad_input("a step has no 'pattern'", std::string(where));
  is_regex = find(*pattern, "Regex") != nullptr;
  return get_string(*pattern, is_regex ? "Regex" : "String", where);
}

Result<Regex> compile(std::string_view pattern, std::string_view where) {
  auto regex = Regex::compile(pattern);
  if (regex.has_error()) {
    Error error = std::move(regex).error();
    error.where = std::string(where) + " " + error.where;
    return error;
  }
  return regex;
}

// Calls `read` for each step: the members of a Sequence, or the one step that `value` is.
Status for_each_step(const Json& value, const char* list_key, std::string_view where,
                     const std::function<Status(const Json&, const std::string&)>& read) {
  BUNDLE_TRY(const std::string type, get_string(value, "type", where));
  if (type != "Sequence") return read(value, type);
  const Json* list = find(value, list_key);
  if (list == nullptr || !list->is_array()) {
    return bad_input(std::string("a Sequence has no '") + list_key + "'", std::string(where));
  }
  for (const Json& step : list->get_array()) {
    BUNDLE_CHECK(for_each_step(step, list_key, where, read));
  }
  return {};
}

// ---- normalizers

Result<NormalizerPtr> read_replace(const Json& step, std::string_view where) {
  bool is_regex = false;
  BUNDLE_TRY(std::string pattern, pattern_text(step, is_regex, where));
  BUNDLE_TRY(std::string content, get_string(step, "content", where));
  if (!is_regex) return replace_text(std::move(pattern), std::move(content));
  BUNDLE_TRY(Regex regex, compile(pattern, where));
  return replace_pattern(std::move(regex), std::move(content));
}

Result<NormalizerPtr> read_bert_normalizer(const Json& step, std::string_view where) {
  BUNDLE_TRY(const bool clean, get_bool_or(step, "clean_text", true, where));
  BUNDLE_TRY(const bool chinese, get_bool_or(step, "handle_chinese_chars", true, where));
  BUNDLE_TRY(const bool lower, get_bool_or(step, "lowercase", true, where));
  BUNDLE_TRY(const bool accents, get_bool_or(step, "strip_accents", lower, where));
  return bert(clean, chinese, accents, lower);
}

Result<NormalizerPtr> read_normalizer(const Json& step, const std::string& type,
                                      std::string_view where) {
  if (type == "NFC") return normalize_unicode(UnicodeForm::kNfc);
  if (type == "NFD") return normalize_unicode(UnicodeForm::kNfd);
  if (type == "NFKC") return normalize_unicode(UnicodeForm::kNfkc);
  if (type == "NFKD") return normalize_unicode(UnicodeForm::kNfkd);
  if (type == "Lowercase") return lowercase();
  if (type == "StripAccents") return strip_accents();
  if (type == "ByteLevel") return spell_byte_level_text();
  if (type == "Replace") return read_replace(step, where);
  if (type == "BertNormalizer") return read_bert_normalizer(step, where);
  if (type == "Prepend") {
    BUNDLE_TRY(std::string prefix, get_string(step, "prepend", where));
    return prepend(std::move(prefix));
  }
  if (type == "Strip") {
    BUNDLE_TRY(const bool left, get_bool_or(step, "strip_left", true, where));
    BUNDLE_TRY(const bool right, get_bool_or(step, "strip_right", true, where));
    return strip_spaces(left, right);
  }
  if (type == "Precompiled") {
    BUNDLE_TRY(const std::string text, get_string(step, "precompiled_charsmap", where));
    const auto blob = decode_base64(text);
    if (!blob) return bad_input("'precompiled_charsmap' is no base64", std::string(where));
    return precompiled(*blob);
  }
  return unknown_type("normalizer", type, where);
}

// ---- pre-tokenizers

Result<SplitBehavior> read_behavior(const Json& step, const char* fallback,
                                    std::string_view where) {
  BUNDLE_TRY(const std::string name, get_string_or(step, "behavior", fallback, where));
  const auto behavior = parse_split_behavior(name);
  if (!behavior) return bad_input("unknown behavior '" + name + "'", std::string(where));
  return *behavior;
}

Result<PreTokenizerPtr> read_split(const Json& step, std::string_view where) {
  bool is_regex = false;
  BUNDLE_TRY(std::string pattern, pattern_text(step, is_regex, where));
  BUNDLE_TRY(const SplitBehavior behavior, read_behavior(step, "Isolated", where));
  BUNDLE_TRY(const bool invert, get_bool_or(step, "invert", false, where));
  if (!is_regex) return split_at_text(std::move(pattern), behavior, invert);
  BUNDLE_TRY(Regex regex, compile(pattern, where));
  return split_at_pattern(std::move(regex), behavior, invert);
}

// Old files say add_prefix_space where new ones have a scheme.
Result<PrependScheme> read_scheme(const Json& step, std::string_view where) {
  BUNDLE_TRY(const bool prefix, get_bool_or(step, "add_prefix_space", true, where));
  const char* fallback = prefix ? "always" : "never";
  BUNDLE_TRY(const std::string name, get_string_or(step, "prepend_scheme", fallback, where));
  const auto scheme = parse_prepend_scheme(name);
  if (!scheme) return bad_input("unknown prepend_scheme '" + name + "'", std::string(where));
  return *scheme;
}

Result<PreTokenizerPtr> read_metaspace(const Json& step, std::string_view where) {
  BUNDLE_TRY(std::string replacement, get_string_or(step, "replacement", "▁", where));
  if (replacement.empty()) return bad_input("an empty replacement", std::string(where));
  BUNDLE_TRY(const PrependScheme scheme, read_scheme(step, where));
  BUNDLE_TRY(const bool split, get_bool_or(step, "split", true, where));
  return metaspace(std::move(replacement), scheme, split);
}

Result<PreTokenizerPtr> read_plain_pre_tokenizer(const Json& step, const std::string& type,
                                                 std::string_view where) {
  if (type == "Split") return read_split(step, where);
  if (type == "Metaspace") return read_metaspace(step, where);
  if (type == "Digits") {
    BUNDLE_TRY(const bool each, get_bool_or(step, "individual_digits", false, where));
    return split_at_characters(numeric_characters(),
                               each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation") {
    BUNDLE_TRY(const SplitBehavior behavior, read_behavior(step, "Isolated", where));
    return split_at_characters(punctuation_characters(), behavior);
  }
  if (type == "WhitespaceSplit") {
    return split_at_characters(space_characters(), SplitBehavior::kRemoved);
  }
  if (type == "CharDelimiterSplit") {
    BUNDLE_TRY(std::string delimiter, get_string(step, "delimiter", where));
    return split_at_text(std::move(delimiter), SplitBehavior::kRemoved, false);
  }
  if (type == "FixedLength") {
    BUNDLE_TRY(const std::int64_t length, get_int_or(step, "length", 5, where));
    if (length < 1) return bad_input("a length under 1", std::string(where));
    return split_by_length(static_cast<std::size_t>(length));
  }
  if (type == "Whitespace") {
    BUNDLE_TRY(Regex regex, Regex::compile(R"(\w+|[^\w\s]+)", RegexFlavor::kRust));
    return split_at_pattern(std::move(regex), SplitBehavior::kRemoved, true);
  }
  return unknown_type("pre-tokenizer", type, where);
}

Status read_byte_level(const Json& step, PreTokenizerSteps& result, std::string_view where) {
  BUNDLE_TRY(const bool prefix, get_bool_or(step, "add_prefix_space", true, where));
  BUNDLE_TRY(const bool use_regex, get_bool_or(step, "use_regex", true, where));
  if (prefix) result.steps.push_back(prefix_space());
  if (use_regex) {
    BUNDLE_TRY(Regex regex, Regex::compile(kGpt2Pattern));
    result.steps.push_back(split_at_pattern(std::move(regex), SplitBehavior::kIsolated, false));
  }
  result.ends_in_byte_level = true;
  return {};
}

Status read_pre_tokenizer(const Json& step, const std::string& type, PreTokenizerSteps& result,
                          std::string_view where) {
  // A further step sees the stand-ins, so they must really be there.
  if (result.ends_in_byte_level) result.steps.push_back(spell_byte_level());
  result.ends_in_byte_level = false;
  if (type == "ByteLevel") return read_byte_level(step, result, where);
  if (type == "BertPreTokenizer") {
    result.steps.push_back(split_at_characters(space_characters(), SplitBehavior::kRemoved));
    result.steps.push_back(split_at_characters(punctuation_characters(), SplitBehavior::kIsolated));
    return {};
  }
  BUNDLE_TRY(PreTokenizerPtr plain, read_plain_pre_tokenizer(step, type, where));
  result.steps.push_back(std::move(plain));
  return {};
}

// ---- decoders

Result<DecodeStep> read_replace_decoder(const Json& step, std::string_view where) {
  bool is_regex = false;
  DecodeStep result{.kind = DecodeStep::Kind::kReplace};
  BUNDLE_TRY(result.text, pattern_text(step, is_regex, where));
  BUNDLE_TRY(result.content, get_string(step, "content", where));
  if (is_regex) return unknown_type("decoder", "Replace with a regular expression", where);
  return result;
}

Result<DecodeStep> read_strip_decoder(const Json& step, bool fused, std::string_view where) {
  DecodeStep result{.kind = fused ? DecodeStep::Kind::kStripStart : DecodeStep::Kind::kStrip};
  BUNDLE_TRY(result.text, get_string(step, "content", where));
  BUNDLE_TRY(const std::int64_t start, get_int_or(step, "start", 0, where));
  BUNDLE_TRY(const std::int64_t stop, get_int_or(step, "stop", 0, where));
  if (start < 0 || stop < 0) return bad_input("a Strip under 0", std::string(where));
  result.left = static_cast<std::size_t>(start);
  result.right = static_cast<std::size_t>(stop);
  return result;
}

Result<DecodeStep> read_metaspace_decoder(const Json& step, std::string_view where) {
  DecodeStep result{.kind = DecodeStep::Kind::kMetaspace};
  BUNDLE_TRY(result.text, get_string_or(step, "replacement", "▁", where));
  BUNDLE_TRY(const PrependScheme scheme, read_scheme(step, where));
  result.strip_first = scheme != PrependScheme::kNever;
  return result;
}

Status read_decode_step(const Json& step, const std::string& type, bool& fused,
                        std::vector<DecodeStep>& steps, std::string_view where) {
  using Kind = DecodeStep::Kind;
  if (type == "Fuse") {
    fused = true;
  } else if (type == "ByteLevel") {
    fused = true;
    steps.push_back({.kind = Kind::kByteLevel});
  } else if (type == "ByteFallback") {
    steps.push_back({.kind = Kind::kByteFallback});
  } else if (type == "Replace") {
    BUNDLE_TRY(DecodeStep replace, read_replace_decoder(step, where));
    steps.push_back(std::move(replace));
  } else if (type == "Strip") {
    BUNDLE_TRY(DecodeStep strip, read_strip_decoder(step, fused, where));
    steps.push_back(std::move(strip));
  } else if (type == "Metaspace") {
    BUNDLE_TRY(DecodeStep metaspace_step, read_metaspace_decoder(step, where));
    steps.push_back(std::move(metaspace_step));
  } else if (type == "WordPiece") {
    DecodeStep piece{.kind = Kind::kWordPiece};
    BUNDLE_TRY(piece.text, get_string_or(step, "prefix", "##", where));
    BUNDLE_TRY(const bool cleanup, get_bool_or(step, "cleanup", true, where));
    steps.push_back(std::move(piece));
    if (cleanup) steps.push_back({.kind = Kind::kCleanUp});
  } else if (type == "BPEDecoder") {
    DecodeStep suffix{.kind = Kind::kSuffix};
    BUNDLE_TRY(suffix.text, get_string_or(step, "suffix", "</w>", where));
    steps.push_back(std::move(suffix));
  } else {
    return unknown_type("decoder", type, where);
  }
  return {};
}

// ---- post-processors

using Ids = std::vector<std::int32_t>;

// `before` and `after` go around what earlier processors put there.
void wrap(PipelineParts& parts, Ids before, const Ids& after) {
  before.insert(before.end(), parts.before.begin(), parts.before.end());
  parts.before = std::move(before);
  parts.after.insert(parts.after.end(), after.begin(), after.end());
}

Result<Ids> special_token_ids(const Json& processor, const std::string& name,
                              std::string_view where) {
  const Json* table = find(processor, "special_tokens");
  const Json* token = table != nullptr ? find(*table, name) : nullptr;
  const Json* list = token != nullptr ? find(*token, "ids") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return bad_input("the template has no special token '" + name + "'", std::string(where));
  }
  Ids ids;
  for (const Json& id : list->get_array()) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= kMaxId) {
      return bad_input("the special token '" + name + "' has a bad id", std::string(where));
    }
    ids.push_back(static_cast<std::int32_t>(id.get_int64()));
  }
  return ids;
}

Status read_template(const Json& processor, PipelineParts& parts, std::string_view where) {
  const Json* single = find(processor, "single");
  if (single == nullptr || !single->is_array()) {
    return bad_input("the template has no list 'single'", std::string(where));
  }
  Ids before;
  Ids after;
  bool behind_text = false;
  for (const Json& piece : single->get_array()) {
    if (find(piece, "Sequence") != nullptr) {
      if (behind_text) return bad_input("a template with the text twice", std::string(where));
      behind_text = true;
      continue;
    }
    const Json* token = find(piece, "SpecialToken");
    if (token == nullptr) return bad_input("the template has a bad piece", std::string(where));
    BUNDLE_TRY(const std::string name, get_string(*token, "id", where));
    BUNDLE_TRY(const Ids ids, special_token_ids(processor, name, where));
    Ids& side = behind_text ? after : before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  wrap(parts, std::move(before), after);
  return {};
}

// ["[CLS]", 101]
Result<Ids> read_token_pair(const Json& processor, const char* key, std::string_view where) {
  const Json* pair = find(processor, key);
  const bool whole = pair != nullptr && pair->is_array() && pair->get_array().size() == 2 &&
                     pair->get_array()[1].is_int64();
  const std::int64_t id = whole ? pair->get_array()[1].get_int64() : -1;
  if (id < 0 || id >= kMaxId) {
    return bad_input(std::string("'") + key + "' is no token and id", std::string(where));
  }
  return Ids{static_cast<std::int32_t>(id)};
}

}  // namespace

Result<std::vector<NormalizerPtr>> read_normalizers(const Json* value, std::string_view where) {
  std::vector<NormalizerPtr> result;
  if (value == nullptr) return result;
  BUNDLE_CHECK(for_each_step(*value, "normalizers", where,
                             [&](const Json& step, const std::string& type) -> Status {
                               BUNDLE_TRY(NormalizerPtr one, read_normalizer(step, type, where));
                               result.push_back(std::move(one));
                               return {};
                             }));
  return result;
}

Result<PreTokenizerSteps> read_pre_tokenizers(const Json* value, std::string_view where) {
  PreTokenizerSteps result;
  if (value == nullptr) return result;
  BUNDLE_CHECK(
      for_each_step(*value, "pretokenizers", where, [&](const Json& step, const std::string& type) {
        return read_pre_tokenizer(step, type, result, where);
      }));
  return result;
}

Result<Decoder> read_decoder(const Json* value, std::string_view where) {
  if (value == nullptr) return Decoder({{.kind = DecodeStep::Kind::kJoin}});
  std::vector<DecodeStep> steps;
  bool fused = false;
  BUNDLE_CHECK(
      for_each_step(*value, "decoders", where, [&](const Json& step, const std::string& type) {
        return read_decode_step(step, type, fused, steps, where);
      }));
  return Decoder(std::move(steps));
}

Status read_post_processor(const Json* value, PipelineParts& parts, std::string_view where) {
  if (value == nullptr) return {};
  return for_each_step(*value, "processors", where,
                       [&](const Json& step, const std::string& type) -> Status {
                         if (type == "ByteLevel") return {};
                         if (type == "TemplateProcessing") return read_template(step, parts, where);
                         if (type != "BertProcessing" && type != "RobertaProcessing") {
                           return unknown_type("post-processor", type, where);
                         }
                         BUNDLE_TRY(Ids before, read_token_pair(step, "cls", where));
                         BUNDLE_TRY(const Ids after, read_token_pair(step, "sep", where));
                         wrap(parts, std::move(before), after);
                         return {};
                       });
}

}  // namespace bundle::tokenizer
