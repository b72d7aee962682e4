// POST /v1/completions: OpenAI's older API, over texts and token ids.
#include <algorithm>
#include <ctime>
#include <limits>

#include "base/text.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/output_constraint.h"
#include "runtime/server/prompt_budget.h"
#include "runtime/server/prompt_reader.h"
#include "runtime/server/random_id.h"

namespace bundle::server {
namespace {

constexpr std::int64_t kDefaultMaxTokens = 16;  // OpenAI's

/// What this endpoint asks beside the common fields.
struct CompletionParams {
  GenerationParams common;
  std::int64_t best_of = 1;  // choices made for each prompt
  bool echo = false;
  bool add_special = true;
};

/// How many choices are made for the n that are answered.
std::int64_t read_best_of(FieldReader& reader, const ServerLimits& limits,
                          const GenerationParams& params) {
  const std::int64_t best_of = reader.integer("best_of", 1, limits.choices).value_or(params.n);
  if (best_of < params.n) {
    reader.fail(invalid_field("best_of", "'best_of' must be at least 'n'."));
  } else if (best_of > params.n && params.stream) {
    reader.fail(invalid_field("best_of", "'best_of' above 'n' can not be streamed."));
  }
  return best_of;
}

CompletionParams read_params(FieldReader& reader, const Service& service, const Model& model) {
  const ServerLimits& limits = service.options().limits;
  CompletionParams out;
  out.common = read_generation_params(reader, model.served, model.vocab_size, limits);
  out.echo = reader.boolean("echo").value_or(false);
  out.add_special = reader.boolean("add_special_tokens").value_or(true);
  const auto logprobs = reader.integer("logprobs", 0, limits.logprobs);
  if (logprobs) out.common.sampling.logprobs = static_cast<std::int32_t>(*logprobs);
  if (logprobs && out.echo) out.common.sampling.prompt_logprobs = out.common.sampling.logprobs;
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  out.common.max_tokens = reader.integer("max_tokens", 0, kMost);
  check_min_tokens(reader, out.common);
  out.best_of = read_best_of(reader, limits, out.common);
  if (const auto suffix = reader.string("suffix"); suffix && !suffix->empty()) {
    reader.fail(unsupported_field("suffix", "'suffix' is not supported."));
  }
  if (out.common.max_tokens == 0 && !out.echo) {
    reader.fail(invalid_field("max_tokens", "'max_tokens' of 0 needs 'echo'."));
  }
  return out;
}

/// The longest prompt decides: all choices of a batch have the same budget.
ApiResult<std::int32_t> budget(const Service& service, const Model& model,
                               const std::vector<Prompt>& prompts, const GenerationParams& params) {
  std::size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.ids.size());
  const std::int64_t fallback = model.served.max_tokens.value_or(kDefaultMaxTokens);
  return output_budget(service, model, static_cast<std::int64_t>(longest), params.max_tokens,
                       fallback, "prompt");
}

AnswerHead head_of(const std::shared_ptr<const Model>& model, const CompletionParams& params) {
  return {.id = random_id("cmpl-"),
          .created = std::time(nullptr),
          .model = model,
          .logprobs = params.common.sampling.logprobs >= 0,
          .token_ids = params.common.return_token_ids,
          .tokens_as_ids = params.common.tokens_as_ids,
          .include_usage = params.common.include_usage,
          .echo = params.echo,
          .top_logprobs = params.common.sampling.logprobs};
}

/// Echo needs the text of prompts that came as ids.
void fill_texts(const Model& model, std::vector<Prompt>& prompts) {
  if (model.served.tokenizer == nullptr) return;
  for (Prompt& prompt : prompts) {
    if (!prompt.text.empty()) continue;
    prompt.text = replace_invalid_utf8(model.served.tokenizer->decode(prompt.ids, false));
  }
}

}  // namespace

ApiResult<GenerationPlan> plan_completion(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const auto model, service.available_model());
  BUNDLE_TRY(const JsonObject body, read_body(request));
  FieldReader reader(body);
  CompletionParams params = read_params(reader, service, *model);
  if (reader.error()) return *reader.error();
  if (auto wrong = set_constraint(params.common, reader)) return *std::move(wrong);
  BUNDLE_TRY(auto prompts,
             read_prompts(*model, reader.get("prompt"), "prompt", params.add_special));
  const std::int64_t choices = params.best_of * static_cast<std::int64_t>(prompts.size());
  if (choices > service.options().limits.choices) {
    return invalid_field("prompt", "The prompts of one request times 'n' may be " +
                                       std::to_string(service.options().limits.choices) + ".");
  }
  BUNDLE_TRY(params.common.sampling.max_tokens, budget(service, *model, prompts, params.common));
  if (params.echo) fill_texts(*model, prompts);
  GenerationPlan plan{.params = params.common,
                      .prompts = std::move(prompts),
                      .prompt_only = params.common.sampling.max_tokens == 0,
                      .model = model,
                      .received = request.received};
  if (plan.prompt_only) plan.params.sampling.max_tokens = 1;
  if (params.best_of > params.common.n) {
    plan.keep = params.common.n;
    plan.params.n = params.best_of;
    plan.params.sampling.logprobs = std::max(params.common.sampling.logprobs, 0);
  }
  plan.format = completion_format(head_of(model, params), static_cast<std::size_t>(choices));
  return plan;
}

ReplyResult create_completion(Service& service, const HttpRequest& request) {
  return admit(service, request, plan_completion(service, request));
}

}  // namespace bundle::server
