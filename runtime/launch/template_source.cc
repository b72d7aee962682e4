#include "runtime/launch/template_source.h"

#include <optional>

namespace bundle::launch {
namespace {

constexpr std::string_view kTemplateFile = "chat_template.jinja";
constexpr std::string_view kConfigFile = "tokenizer_config.json";
constexpr std::uint64_t kMostTemplate = 1u << 20;
constexpr std::uint64_t kMostConfig = 64u << 20;

constexpr std::string_view kTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

Result<Json> read_config(const format::Checkpoint& checkpoint) {
  if (checkpoint.source().find(kConfigFile) == nullptr) return Json(JsonObject());
  BUNDLE_TRY(const std::string text, checkpoint.source().read(kConfigFile, kMostConfig));
  BUNDLE_TRY(Json config, parse_json(text, kConfigFile));
  if (!config.is_object())
    return bad_input("the file must hold an object", std::string(kConfigFile));
  return config;
}

std::optional<std::string> text_of(const Json* value) {
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

/// A template, or a list of named ones.
std::optional<std::string> published_template(const Json& config) {
  const Json* published = find(config, "chat_template");
  if (published == nullptr || !published->is_array()) return text_of(published);
  for (const Json& entry : published->get_array()) {
    if (text_of(find(entry, "name")) == "default") return text_of(find(entry, "template"));
  }
  return std::nullopt;
}

/// "</s>", or {"content": "</s>", …}.
std::optional<std::string> token_of(const Json* value) {
  if (value != nullptr && value->is_object()) return text_of(find(*value, "content"));
  return text_of(value);
}

void add_missing(JsonObject& tokens, std::string_view name, const tokenizer::Tokenizer& tokenizer,
                 std::optional<std::int32_t> id) {
  if (id && !tokens.contains(name)) tokens[name] = tokenizer.token_text(*id);
}

}  // namespace

Result<TemplateSource> find_chat_template(const format::Checkpoint& checkpoint) {
  if (checkpoint.source().find(kTemplateFile) != nullptr) {
    BUNDLE_TRY(std::string text, checkpoint.source().read(kTemplateFile, kMostTemplate));
    return TemplateSource{std::move(text), std::string(kTemplateFile)};
  }
  BUNDLE_TRY(const Json config, read_config(checkpoint));
  if (auto text = published_template(config)) {
    return TemplateSource{*std::move(text), std::string(kConfigFile)};
  }
  if (checkpoint.is_gguf() && checkpoint.gguf()->find("tokenizer.chat_template") != nullptr) {
    BUNDLE_TRY(std::string text, checkpoint.gguf()->get_string("tokenizer.chat_template"));
    return TemplateSource{std::move(text), "tokenizer.chat_template"};
  }
  return not_found("the model publishes no chat template", "",
                   "Set runtime.chat_template to one, or use /v1/completions.");
}

Result<JsonObject> special_tokens(const format::Checkpoint& checkpoint,
                                  const tokenizer::Tokenizer* tokenizer) {
  BUNDLE_TRY(const Json config, read_config(checkpoint));
  JsonObject tokens;
  for (const std::string_view name : kTokens) {
    if (auto text = token_of(find(config, name))) tokens[name] = *text;
  }
  if (tokenizer != nullptr) {
    add_missing(tokens, "bos_token", *tokenizer, tokenizer->bos_id());
    add_missing(tokens, "eos_token", *tokenizer, tokenizer->eos_id());
  }
  return tokens;
}

}  // namespace bundle::launch
