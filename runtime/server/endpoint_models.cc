// GET /v1/models and /v1/models/{id}. Beside OpenAI's fields: max_model_len, as vLLM names it, and
// what a client may ask for, so that it need not find out by errors.
#include "runtime/chat/answer_format_names.h"
#include "runtime/server/endpoints.h"

namespace bundle::server {
namespace {

JsonArray structured_outputs(bool has_text) {
  if (!has_text) return {};
  return {"json_object", "json_schema", "regex", "choice", "grammar", "structural_tag"};
}

JsonObject capabilities(const Service& service, const Model& model) {
  const ServerLimits& limits = service.options().limits;
  const bool text = model.served.tokenizer != nullptr;
  const chat::ReasoningFormat reasoning = model.served.prompt_style.reasoning;
  Json embedding_size = nullptr;
  if (model.served.hidden_size > 0) embedding_size = model.served.hidden_size;
  Json reasoning_field = nullptr;
  if (reasoning != chat::ReasoningFormat::kNone) reasoning_field = "reasoning_content";
  return {
      {"chat", text && model.served.chat_template.has_value()},
      {"text_prompts", text},
      {"token_id_prompts", true},
      {"streaming", true},
      {"embedding_size", embedding_size},
      {"embedding_pooling", JsonArray({"last", "mean"})},
      {"max_choices", limits.choices},
      {"max_stop_strings", text ? limits.stop_strings : 0},
      {"max_logprobs", limits.logprobs},
      {"max_body_bytes", limits.body_bytes},
      {"prompt_logprobs_with_echo", true},
      {"structured_output", structured_outputs(text)},
      {"tool_choice", model.served.shows_tools ? JsonArray({"none", "auto", "required", "named"})
                                               : JsonArray({"none"})},
      {"tool_parser", chat::name_of(model.served.tool_format)},
      {"reasoning_parser", chat::name_of(reasoning)},
      {"reasoning_field", reasoning_field}};
}

JsonObject describe(const Service& service, const Model& model) {
  return {{"id", model.served.name},
          {"object", "model"},
          {"created", model.served.created},
          {"owned_by", "bundle"},
          {"root", model.served.name},
          {"parent", nullptr},
          {"max_model_len", service.max_context(model)},
          {"architecture", model.served.architecture},
          {"vocab_size", model.vocab_size},
          {"content_digest", model.served.content_digest},
          {"capabilities", capabilities(service, model)}};
}

}  // namespace

ReplyResult list_models(Service& service, const HttpRequest&) {
  const auto model = service.model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  return json_reply(
      JsonObject{{"object", "list"}, {"data", JsonArray({describe(service, *model)})}});
}

ReplyResult get_model(Service& service, const HttpRequest& request) {
  const auto model = service.model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  const std::string name = percent_decode(request.path.substr(request.path.find("/models/") + 8));
  if (name != model->served.name) {
    return not_found_error("model_not_found", "The model '" + name + "' does not exist.", "model");
  }
  return json_reply(describe(service, *model));
}

}  // namespace bundle::server
