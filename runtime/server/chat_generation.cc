#include "runtime/server/chat_generation.h"

#include <ctime>
#include <limits>

#include "runtime/server/chat_prompt.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/output_constraint.h"
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
  check_min_tokens(reader, params);
}

/// How the answer's parts are told apart: what the model does, unless the request wants it raw.
void read_reasoning(FieldReader& reader, const ServedModel& model, chat::AnswerSyntax& answer) {
  answer.include_reasoning = reader.boolean("include_reasoning").value_or(true);
  const bool separate = reader.boolean("separate_reasoning").value_or(true);
  const auto format = reader.string("reasoning_format");
  if (format && *format != "none" && *format != "auto" && *format != "deepseek") {
    reader.fail(
        invalid_field("reasoning_format", "'reasoning_format' must be none, auto or deepseek."));
  }
  if (separate && format != "none") answer.reasoning = model.prompt_style.reasoning;
}

/// Which calls the model may make, in its own form, and what that leaves its output to be.
void read_calls(FieldReader& reader, const ServedModel& model, GenerationParams& params) {
  const ToolChoice choice = read_tool_choice(reader);
  chat::AnswerSyntax& answer = params.answer;
  answer.parallel_calls = reader.boolean("parallel_tool_calls").value_or(true);
  if (choice.kind == ToolChoice::Kind::kNone || reader.error()) return;
  if (!model.shows_tools) {
    return reader.fail(unsupported_field(
        "tools", "This model's chat template has no place for tools: it would never see them."));
  }
  const JsonArray& tools = *reader.array("tools");
  answer.tools = model.tool_format;
  answer.tool_list = std::make_shared<const JsonArray>(tools);
  const bool forced = choice.kind != ToolChoice::Kind::kAuto;
  // A model that knows no form of calls can still be made to write one.
  if (forced && answer.tools == chat::ToolFormat::kNone) answer.tools = chat::ToolFormat::kLlama3;
  if (answer.tools == chat::ToolFormat::kNone || !(forced || params.output_format)) return;
  Json calls = tool_call_format(tools, choice, answer.tools, answer.parallel_calls);
  if (!forced) {
    const JsonArray either{*params.output_format, std::move(calls)};
    calls = JsonObject{{"type", "or"}, {"elements", either}};
  }
  params.output_format = std::move(calls);
  params.exact_format = false;  // schemas of functions hold as far as they can
}

void check_modalities(FieldReader& reader) {
  if (reader.boolean("echo").value_or(false)) {
    reader.fail(unsupported_field("echo", "'echo' is not supported: use /v1/completions."));
  }
  const JsonArray* modalities = reader.array("modalities");
  for (std::size_t i = 0; modalities != nullptr && i < modalities->size(); ++i) {
    if ((*modalities)[i] != "text") {
      reader.fail(unsupported_field("modalities", "The only modality supported is 'text'."));
    }
  }
}

GenerationParams read_params(FieldReader& reader, const Service& service, const Model& model) {
  const ServerLimits& limits = service.options().limits;
  GenerationParams params = read_generation_params(reader, model.served, model.vocab_size, limits);
  read_logprobs(reader, limits, params);
  read_max_tokens(reader, params);
  read_reasoning(reader, model.served, params.answer);
  read_calls(reader, model.served, params);
  check_modalities(reader);
  check_model_can_chat(reader, model.served);
  return params;
}

AnswerHead head_of(const std::shared_ptr<const Model>& model, const GenerationParams& params,
                   const char* id_prefix) {
  return {.id = random_id(id_prefix),
          .created = std::time(nullptr),
          .model = model,
          .logprobs = params.sampling.logprobs >= 0,
          .token_ids = params.return_token_ids,
          .tokens_as_ids = params.tokens_as_ids,
          .include_usage = params.include_usage,
          .top_logprobs = params.sampling.logprobs};
}

}  // namespace

void check_model_can_chat(FieldReader& reader, const ServedModel& model) {
  if (model.tokenizer == nullptr) {
    reader.fail(unsupported_field(
        "model", "This model has no tokenizer: send token ids to /v1/completions."));
  } else if (!model.chat_template) {
    reader.fail(
        unsupported_field("model", "This model has no chat template: use /v1/completions."));
  }
}

ApiResult<GenerationPlan> plan_chat(Service& service, const HttpRequest& request,
                                    const JsonObject& body, const char* id_prefix,
                                    const MakeFormat& make_format) {
  BUNDLE_TRY(const auto model, service.available_model());
  FieldReader reader(body);
  GenerationParams params = read_params(reader, service, *model);
  if (reader.error()) return *reader.error();
  BUNDLE_TRY(const chat::Prompt rendered, render_chat_prompt(model->served, body));
  params.answer.start = rendered.start;
  if (auto wrong = set_constraint(params, reader)) return *std::move(wrong);
  // The template writes the begin token itself.
  Prompt prompt{model->served.tokenizer->encode(rendered.text, {.add_special = false}), {}};
  if (prompt.ids.empty()) return invalid_field("messages", "The conversation is empty.");
  BUNDLE_TRY(params.sampling.max_tokens,
             output_budget(service, *model, static_cast<std::int64_t>(prompt.ids.size()),
                           params.max_tokens, model->served.max_tokens, "messages"));
  GenerationPlan plan{.params = params, .model = model, .received = request.received};
  plan.prompts.push_back(std::move(prompt));
  plan.format = make_format(head_of(model, params, id_prefix), static_cast<std::size_t>(params.n));
  return plan;
}

ReplyResult generate_chat(Service& service, const HttpRequest& request, const JsonObject& body,
                          const char* id_prefix, const MakeFormat& make_format) {
  return admit(service, request, plan_chat(service, request, body, id_prefix, make_format));
}

}  // namespace bundle::server
