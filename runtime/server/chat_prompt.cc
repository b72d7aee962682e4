#include "runtime/server/chat_prompt.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <optional>

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

/// DeepSeek's `prefix` is read from a message, where nothing else checks it.
std::optional<ApiError> check_messages(const Json& messages) {
  const JsonArray* list = messages.if_array();
  if (list == nullptr) {
    return invalid_field("messages", "'messages' must be a list.", "invalid_type");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json* prefix = find((*list)[i], "prefix");
    if (prefix == nullptr || prefix->is_null() || prefix->is_bool()) continue;
    return invalid_field(fmt::format("messages[{}].prefix", i), "'prefix' must be true or false.",
                         "invalid_type");
  }
  return std::nullopt;
}

}  // namespace

ApiResult<chat::Prompt> render_chat_prompt(const ServedModel& model, const JsonObject& body) {
  if (!model.chat_template) return unsupported_field("model", "This model has no chat template.");
  const Json* messages = body.if_contains("messages");
  if (messages == nullptr || messages->is_null()) {
    return invalid_field("messages", "'messages' is required.", "missing_field");
  }
  if (auto wrong = check_messages(*messages)) return *std::move(wrong);
  auto prompt = chat::make_prompt(*model.chat_template, Json(body), variables_of(model),
                                  model.prompt_style, std::time(nullptr));
  if (prompt.has_error()) return request_error(prompt.error());
  return *std::move(prompt);
}

}  // namespace bundle::server
