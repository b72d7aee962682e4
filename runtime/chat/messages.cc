#include "runtime/chat/messages.h"

#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::chat {
namespace {

Error wrong(const std::string& where, std::string what, std::string remedy = {}) {
  return bad_input(std::move(what), where, std::move(remedy));
}

/// The text of content parts, one under the other.
Result<std::string> join_parts(const JsonArray& parts, const std::string& where) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string place = where + "[" + std::to_string(i) + "]";
    const Json* type = find(parts[i], "type");
    if (type == nullptr || !type->is_string()) return wrong(place, "a content part has no type");
    if (type->get_string() != "text") {
      return wrong(place, "this model takes text only",
                   "Leave out the part of type '" + std::string(type->get_string()) + "'.");
    }
    const Json* part = find(parts[i], "text");
    if (part == nullptr || !part->is_string()) return wrong(place, "a text part has no text");
    if (i != 0) text += '\n';
    text += part->get_string();
  }
  return text;
}

/// Brings message["content"] to a text; null stays for the assistant, whose tool calls stand alone.
Status normalize_content(JsonObject& message, bool is_assistant, const std::string& where) {
  Json* content = message.if_contains("content");
  if (content == nullptr) {
    if (is_assistant && message.contains("tool_calls")) message["content"] = nullptr;
    if (is_assistant) return {};
    return wrong(where, "a message has no content");
  }
  if (content->is_string()) return {};
  if (content->is_null()) {
    if (!is_assistant) *content = "";
    return {};
  }
  if (!content->is_array()) {
    return wrong(where + ".content", "content is neither a string nor an array of parts");
  }
  BUNDLE_TRY(const std::string text, join_parts(content->get_array(), where + ".content"));
  *content = text;
  return {};
}

/// Templates print arguments with tojson, so they want the object and not its text.
void parse_arguments(JsonObject& function) {
  Json* arguments = function.if_contains("arguments");
  if (arguments == nullptr || !arguments->is_string()) return;
  auto parsed = parse_json(arguments->get_string(), "arguments");
  if (parsed.has_value() && parsed->is_object()) *arguments = *std::move(parsed);
}

Status normalize_tool_calls(JsonObject& message, ArgumentsForm form, const std::string& where) {
  Json* calls = message.if_contains("tool_calls");
  if (calls == nullptr || calls->is_null()) return {};
  if (!calls->is_array()) return wrong(where + ".tool_calls", "tool_calls is not an array");
  JsonArray& list = calls->get_array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = where + ".tool_calls[" + std::to_string(i) + "]";
    if (!list[i].is_object()) return wrong(place, "a tool call is not an object");
    Json* function = list[i].get_object().if_contains("function");
    if (function == nullptr || !function->is_object()) {
      return wrong(place, "a tool call has no function");
    }
    const Json* name = function->get_object().if_contains("name");
    if (name == nullptr || !name->is_string()) {
      return wrong(place + ".function", "a tool call's function has no name");
    }
    if (form == ArgumentsForm::kParsed) parse_arguments(function->get_object());
  }
  return {};
}

/// One text under the names that templates read it by; a name that is there already keeps its own,
/// except the standard one.
Status alias_reasoning(JsonObject& message, const std::string& where) {
  constexpr std::array<std::string_view, 3> kNames = {"reasoning_content", "thinking", "reasoning"};
  for (const auto name : kNames) {
    const Json* found = message.if_contains(name);
    if (found == nullptr || found->is_null()) continue;
    if (!found->is_string()) {
      return wrong(where + "." + std::string(name), "reasoning is not a string");
    }
    const Json text = *found;
    message["reasoning_content"] = text;
    if (!message.contains("thinking")) message["thinking"] = text;
    return {};
  }
  return {};
}

Result<JsonObject> normalize_message(const Json& source, ArgumentsForm form,
                                     const std::string& where) {
  if (!source.is_object()) return wrong(where, "a message is not an object");
  JsonObject message = source.get_object();
  Json* role = message.if_contains("role");
  if (role == nullptr || !role->is_string() || role->get_string().empty()) {
    return wrong(where + ".role", "a message has no role",
                 "Give it one of system, user, assistant and tool.");
  }
  if (role->get_string() == "developer") *role = "system";
  const bool is_assistant = role->get_string() == "assistant";
  BUNDLE_CHECK(normalize_content(message, is_assistant, where));
  if (is_assistant) {
    BUNDLE_CHECK(normalize_tool_calls(message, form, where));
    BUNDLE_CHECK(alias_reasoning(message, where));
  }
  return message;
}

}  // namespace

Result<JsonArray> normalize_messages(const Json& messages, ArgumentsForm form) {
  if (!messages.is_array()) return wrong("messages", "messages is not an array");
  if (messages.get_array().empty()) return wrong("messages", "messages is empty");
  JsonArray out;
  for (const Json& message : messages.get_array()) {
    BUNDLE_TRY(JsonObject normal,
               normalize_message(message, form, "messages[" + std::to_string(out.size()) + "]"));
    out.emplace_back(std::move(normal));
  }
  return out;
}

}  // namespace bundle::chat
