// POST /v1/chat/completions.
#include <ctime>
#include <limits>

#include "runtime/server/chat_prompt.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/prompt_budget.h"
#include "runtime/server/random_id.h"

namespace bundle::server {
namespace {

void read_logprobs(FieldReader& reader, const ServerLimits& limits, GenerationParams& params) {
  const bool wanted = reader.boolean("logprobs").value_or(false);
  const auto top = reader.integer("top_logprobs", 0, limits.logprobs);
  if (top.value_or(0) > 0 && !wanted) {
    reader.fail(invalid_field("top_logprobs", "'top_logprobs' needs 'logprobs' to be true."));
  }
  if (wanted) params.sampling.logprobs = static_cast<std::int32_t>(top.value_or(0));
}

/// max_completion_tokens is the newer name and wins.
void read_max_tokens(FieldReader& reader, GenerationParams& params) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  params.max_tokens = reader.integer("max_tokens", 1, kMost);
  if (const auto newer = reader.integer("max_completion_tokens", 1, kMost)) {
    params.max_tokens = newer;
  }
}

/// Tools are shown to the model; nothing forces it to call one, so what would have to is refused.
void check_tools(FieldReader& reader) {
  const JsonArray* tools = reader.array("tools");
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const Json* function = find((*tools)[i], "function");
    const Json* name = function == nullptr ? nullptr : find(*function, "name");
    if (name == nullptr || !name->is_string()) {
      return reader.fail(invalid_field("tools[" + std::to_string(i) + "]",
                                       "A tool must be {\"type\": \"function\", \"function\": "
                                       "{\"name\": …}}."));
    }
  }
  const Json* choice = reader.get("tool_choice");
  if (choice == nullptr || *choice == "none" || *choice == "auto") return;
  reader.fail(unsupported_field(
      "tool_choice", "The only values of 'tool_choice' supported are 'none' and 'auto'."));
}

void check_modalities(FieldReader& reader) {
  const JsonArray* modalities = reader.array("modalities");
  for (std::size_t i = 0; modalities != nullptr && i < modalities->size(); ++i) {
    if ((*modalities)[i] != "text") {
      reader.fail(unsupported_field("modalities", "The only modality supported is 'text'."));
    }
  }
}

void check_model_can_chat(FieldReader& reader, const ServedModel& model) {
  if (model.tokenizer == nullptr) {
    reader.fail(unsupported_field(
        "model", "This model has no tokenizer: send token ids to /v1/completions."));
  } else if (!model.chat_template) {
    reader.fail(
        unsupported_field("model", "This model has no chat template: use /v1/completions."));
  }
}

GenerationParams read_params(FieldReader& reader, const Service& service, const Model& model) {
  const ServerLimits& limits = service.options().limits;
  GenerationParams params = read_generation_params(reader, model.served, model.vocab_size, limits);
  read_logprobs(reader, limits, params);
  read_max_tokens(reader, params);
  check_tools(reader);
  check_modalities(reader);
  check_model_can_chat(reader, model.served);
  return params;
}

AnswerHead head_of(const std::shared_ptr<const Model>& model, const GenerationParams& params) {
  return {.id = random_id("chatcmpl-"),
          .created = std::time(nullptr),
          .model = model,
          .logprobs = params.sampling.logprobs >= 0,
          .token_ids = params.return_token_ids,
          .tokens_as_ids = params.tokens_as_ids,
          .include_usage = params.include_usage,
          .top_logprobs = params.sampling.logprobs};
}

}  // namespace

ApiResult<GenerationPlan> plan_chat_completion(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const auto model, service.available_model());
  BUNDLE_TRY(const JsonObject body, read_body(request));
  FieldReader reader(body);
  GenerationParams params = read_params(reader, service, *model);
  if (reader.error()) return *reader.error();
  BUNDLE_TRY(const std::string text, render_chat_prompt(model->served, body));
  // The template writes the begin token itself.
  Prompt prompt{model->served.tokenizer->encode(text, {.add_special = false}), {}};
  if (prompt.ids.empty()) return invalid_field("messages", "The conversation is empty.");
  BUNDLE_TRY(params.sampling.max_tokens,
             output_budget(service, *model, static_cast<std::int64_t>(prompt.ids.size()),
                           params.max_tokens, model->served.max_tokens, "messages"));
  GenerationPlan plan{.params = params, .model = model, .received = request.received};
  plan.prompts.push_back(std::move(prompt));
  plan.format = chat_format(head_of(model, params), static_cast<std::size_t>(params.n));
  return plan;
}

ReplyResult create_chat_completion(Service& service, const HttpRequest& request) {
  return admit(service, request, plan_chat_completion(service, request));
}

}  // namespace bundle::server
