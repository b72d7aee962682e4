#include "runtime/server/chat_prompt.h"

#include <algorithm>
#include <ctime>

#include "runtime/chat/prompt.h"

namespace bundle::server {
namespace {

constexpr std::string_view kRequestFields[] = {"messages",
                                               "tools",
                                               "documents",
                                               "chat_template_kwargs",
                                               "continue_final_message",
                                               "reasoning_effort",
                                               "thinking",
                                               "add_generation_prompt"};

chat::TemplateVariables variables_of(const ServedModel& model) {
  chat::TemplateVariables out;
  for (const auto& [name, value] : model.template_variables) {
    if (value.is_string()) out.special_tokens.emplace_back(name, value.get_string());
  }
  return out;
}

/// The error names a field of the request, or a line of the template, which is no field.
ApiError request_error(const Error& error) {
  const bool in_request = std::any_of(
      std::begin(kRequestFields), std::end(kRequestFields), [&](std::string_view field) {
        const std::string_view where = error.where;
        const std::string_view rest = where.substr(std::min(field.size(), where.size()));
        return where.starts_with(field) && (rest.empty() || rest[0] == '[' || rest[0] == '.');
      });
  return invalid_field(in_request ? error.where : "messages", error.message());
}

}  // namespace

ApiResult<chat::Prompt> render_chat_prompt(const ServedModel& model, const JsonObject& body) {
  if (!model.chat_template) return unsupported_field("model", "This model has no chat template.");
  const Json* messages = body.if_contains("messages");
  if (messages == nullptr || messages->is_null()) {
    return invalid_field("messages", "'messages' is required.", "missing_field");
  }
  auto prompt = chat::make_prompt(*model.chat_template, Json(body), variables_of(model),
                                  model.prompt_style, std::time(nullptr));
  if (prompt.has_error()) return request_error(prompt.error());
  return *std::move(prompt);
}

}  // namespace bundle::server
