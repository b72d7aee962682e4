#include "runtime/server/chat_prompt.h"

#include <ctime>

namespace bundle::server {
namespace {

ApiError messages_error(const std::string& message) { return invalid_field("messages", message); }

ApiResult<JsonArray> read_messages(const JsonObject& body) {
  const Json* messages = body.if_contains("messages");
  if (messages == nullptr || messages->is_null()) {
    return invalid_field("messages", "'messages' is required.", "missing_field");
  }
  if (!messages->is_array()) {
    return invalid_field("messages", "'messages' must be a list.", "invalid_type");
  }
  if (messages->get_array().empty()) return messages_error("'messages' must not be empty.");
  return messages->get_array();
}

}  // namespace

ApiResult<std::string> render_chat_prompt(const ServedModel& model, const JsonObject& body) {
  if (!model.chat_template) return unsupported_field("model", "This model has no chat template.");
  BUNDLE_TRY(JsonArray messages, read_messages(body));
  JsonObject context = model.template_variables;
  context["messages"] = std::move(messages);
  context["add_generation_prompt"] = true;
  auto text = model.chat_template->render(context, std::time(nullptr));
  if (text.has_error()) return messages_error(text.error().message());
  return *std::move(text);
}

}  // namespace bundle::server
