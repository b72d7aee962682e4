// POST /tokenize and /detokenize, in vLLM's shapes.
#include "base/text.h"
#include "runtime/server/chat_prompt.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/field_reader.h"
#include "runtime/server/generation_params.h"
#include "runtime/server/token_ids.h"

namespace bundle::server {
namespace {

using tokenizer::Tokenizer;

ApiResult<std::shared_ptr<const Model>> model_with_tokenizer(const Service& service) {
  auto model = service.model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  if (model->served.tokenizer == nullptr) {
    return unsupported_field("model", "This model has no tokenizer.");
  }
  return model;
}

/// The text to tokenize and whether special tokens are added: a prompt's are, a template brings
/// its own.
struct Text {
  std::string text;
  bool add_special;
};

ApiResult<Text> text_of(FieldReader& reader, const Model& model, const JsonObject& body) {
  if (reader.get("messages") != nullptr) {
    BUNDLE_TRY(chat::Prompt prompt, render_chat_prompt(model.served, body));
    return Text{std::move(prompt.text), reader.boolean("add_special_tokens").value_or(false)};
  }
  const auto prompt = reader.string("prompt");
  const bool add_special = reader.boolean("add_special_tokens").value_or(true);
  if (!prompt)
    reader.fail(invalid_field("prompt", "'prompt' or 'messages' is required.", "missing_field"));
  if (reader.error()) return *reader.error();
  return Text{*prompt, add_special};
}

JsonArray spellings(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  JsonArray out;
  for (const std::int32_t id : ids) {
    out.emplace_back(replace_invalid_utf8(tokenizer.token_text(id)));
  }
  return out;
}

}  // namespace

ReplyResult tokenize(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  BUNDLE_TRY(const auto model, model_with_tokenizer(service));
  const Tokenizer& tokenizer = *model->served.tokenizer;
  FieldReader reader(body);
  check_model_name(reader, model->served);
  BUNDLE_TRY(const Text text, text_of(reader, *model, body));
  const bool with_spellings = reader.boolean("return_token_strs").value_or(false);
  if (reader.error()) return *reader.error();
  const auto ids = tokenizer.encode(text.text, {.add_special = text.add_special});
  JsonObject out{{"count", ids.size()}, {"max_model_len", service.max_context(*model)}};
  out["tokens"] = JsonArray(ids.begin(), ids.end());
  out["token_strs"] = nullptr;
  if (with_spellings) out["token_strs"] = spellings(tokenizer, ids);
  return json_reply(out);
}

ReplyResult detokenize(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  BUNDLE_TRY(const auto model, model_with_tokenizer(service));
  FieldReader reader(body);
  check_model_name(reader, model->served);
  const JsonArray* tokens = reader.array("tokens");
  if (tokens == nullptr) {
    reader.fail(invalid_field("tokens", "'tokens' is required.", "missing_field"));
  }
  if (reader.error()) return *reader.error();
  BUNDLE_TRY(const auto ids, read_token_ids(*tokens, "tokens", model->vocab_size));
  const std::string text = model->served.tokenizer->decode(ids, /*skip_special=*/false);
  return json_reply(JsonObject{{"prompt", replace_invalid_utf8(text)}});
}

}  // namespace bundle::server
