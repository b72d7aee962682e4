#include "runtime/server/field_reader.h"
#include "runtime/server/messages_format.h"
#include "runtime/server/request_rewrite.h"

namespace bundle::server {
namespace {

ApiError wrong(std::string where, std::string message) {
  return invalid_field(std::move(where), std::move(message));
}

std::string type_of(const Json& block) {
  const Json* type = find(block, "type");
  return type != nullptr && type->is_string() ? std::string(type->get_string()) : "";
}

/// A text, or text blocks one under the other.
ApiResult<std::string> text_of(const Json& content, const std::string& where) {
  if (content.is_string()) return std::string(content.get_string());
  if (!content.is_array())
    return wrong(where, "'" + where + "' must be a text or a list of blocks.");
  std::string out;
  for (const Json& block : content.get_array()) {
    const Json* text = find(block, "text");
    if (type_of(block) != "text" || text == nullptr || !text->is_string()) {
      return wrong(where, "This model takes text only: '" + where + "' has another block.");
    }
    if (!out.empty()) out += '\n';
    out += text->get_string();
  }
  return out;
}

Json tool_call(const Json& block) {
  const Json* input = find(block, "input");
  return JsonObject{
      {"id", member_or(block, "id", "")},
      {"type", "function"},
      {"function", JsonObject{{"name", member_or(block, "name", "")},
                              {"arguments", input == nullptr ? Json(JsonObject()) : *input}}}};
}

/// A user's blocks: results of tools are messages of their own, before what the user says.
ApiResult<bool> add_user(const JsonArray& blocks, const std::string& where, JsonArray& out) {
  JsonArray texts;
  for (const Json& block : blocks) {
    if (type_of(block) != "tool_result") {
      texts.push_back(block);
      continue;
    }
    const Json* content = find(block, "content");
    std::string text;
    if (content != nullptr && !content->is_null()) {
      BUNDLE_TRY(text, text_of(*content, where));
    }
    out.emplace_back(JsonObject{{"role", "tool"},
                                {"tool_call_id", member_or(block, "tool_use_id", "")},
                                {"content", text}});
  }
  if (texts.empty()) return done();
  BUNDLE_TRY(const std::string text, text_of(texts, where));
  out.emplace_back(JsonObject{{"role", "user"}, {"content", text}});
  return done();
}

ApiResult<bool> add_assistant(const JsonArray& blocks, const std::string& where, JsonArray& out) {
  JsonArray texts, calls;
  std::string reasoning;
  for (const Json& block : blocks) {
    const std::string type = type_of(block);
    if (type == "thinking") {
      reasoning += std::string_view(member_or(block, "thinking", "").get_string());
    } else if (type == "tool_use") {
      calls.push_back(tool_call(block));
    } else if (type != "redacted_thinking") {
      texts.push_back(block);
    }
  }
  JsonObject message{{"role", "assistant"}, {"content", nullptr}};
  if (!texts.empty() || calls.empty()) {
    BUNDLE_TRY(const std::string text, text_of(texts, where));
    message["content"] = text;
  }
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  if (!reasoning.empty()) message["reasoning_content"] = reasoning;
  out.emplace_back(std::move(message));
  return done();
}

ApiResult<bool> add_message(const Json& message, const std::string& where, JsonArray& out) {
  const Json* role = find(message, "role");
  const Json* content = find(message, "content");
  const bool user = role != nullptr && *role == "user";
  const bool assistant = role != nullptr && *role == "assistant";
  if (!user && !assistant) return wrong(where + ".role", "A message's role is user or assistant.");
  if (content == nullptr) return wrong(where + ".content", "A message needs a content.");
  if (!content->is_array()) {
    if (!content->is_string()) {
      return wrong(where + ".content", "A content is a text or a list of blocks.");
    }
    out.emplace_back(JsonObject{{"role", *role}, {"content", *content}});
    return done();
  }
  const std::string place = where + ".content";
  return user ? add_user(content->get_array(), place, out)
              : add_assistant(content->get_array(), place, out);
}

JsonArray chat_tools(FieldReader& reader, const JsonArray& tools) {
  JsonArray out;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const Json& tool = tools[i];
    const std::string place = "tools[" + std::to_string(i) + "]";
    const std::string type = type_of(tool);
    if (!type.empty() && type != "custom") {
      reader.fail(unsupported_field(place + ".type",
                                    "The only tools supported are the client's own functions."));
    } else if (find(tool, "input_schema") == nullptr) {
      reader.fail(invalid_field(place + ".input_schema", "A tool needs an 'input_schema'.",
                                "missing_field"));
    }
    JsonObject function{{"name", member_or(tool, "name", "")}};
    for (const auto& [from, to] :
         {std::pair("description", "description"), std::pair("input_schema", "parameters")}) {
      if (const Json* value = find(tool, from)) function[to] = *value;
    }
    out.emplace_back(JsonObject{{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

/// `tool_choice`, and with it `parallel_tool_calls`.
void rewrite_choice(FieldReader& reader, JsonObject& chat) {
  const JsonObject* choice = reader.object("tool_choice");
  if (choice == nullptr) return;
  const std::string type = type_of(*choice);
  if (type == "tool") {
    chat["tool_choice"] = JsonObject{
        {"type", "function"}, {"function", JsonObject{{"name", member_or(*choice, "name", "")}}}};
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else if (type == "auto" || type == "none") {
    chat["tool_choice"] = type;
  } else {
    reader.fail(wrong("tool_choice", "'tool_choice.type' must be auto, any, tool or none."));
  }
  const Json* one = choice->if_contains("disable_parallel_tool_use");
  if (one != nullptr && *one == true) chat["parallel_tool_calls"] = false;
}

void rewrite_thinking(FieldReader& reader, JsonObject& chat) {
  const JsonObject* thinking = reader.object("thinking");
  if (thinking == nullptr) return;
  const std::string type = type_of(*thinking);
  chat["thinking"] = JsonObject{{"type", type == "adaptive" ? "enabled" : type}};
}

}  // namespace

ApiResult<JsonObject> chat_of_messages(const JsonObject& body) {
  FieldReader reader(body);
  JsonObject chat = copied(body, {"model", "max_tokens", "temperature", "top_p", "top_k", "stream",
                                  "chat_template_kwargs", "cache_salt", "seed"});
  if (reader.array("stop_sequences") != nullptr) rename(body, "stop_sequences", chat, "stop");
  JsonArray messages;
  if (const Json* system = reader.get("system")) {
    BUNDLE_TRY(const std::string text, text_of(*system, "system"));
    messages.emplace_back(JsonObject{{"role", "system"}, {"content", text}});
  }
  const JsonArray* turns = reader.array("messages");
  if (turns == nullptr || turns->empty()) {
    reader.fail(invalid_field("messages", "'messages' is required.", "missing_field"));
  }
  if (reader.get("max_tokens") == nullptr) {
    reader.fail(invalid_field("max_tokens", "'max_tokens' is required.", "missing_field"));
  }
  for (std::size_t i = 0; turns != nullptr && i < turns->size(); ++i) {
    const std::string where = "messages[" + std::to_string(i) + "]";
    BUNDLE_TRY([[maybe_unused]] const bool added, add_message((*turns)[i], where, messages));
  }
  // The answer goes on where the last message leaves off.
  const bool unfinished = !messages.empty() && messages.back().at("role") == "assistant" &&
                          !messages.back().get_object().contains("tool_calls");
  if (unfinished) {
    chat["continue_final_message"] = true;
    chat["add_generation_prompt"] = false;
  }
  chat["messages"] = std::move(messages);
  if (const JsonArray* tools = reader.array("tools")) chat["tools"] = chat_tools(reader, *tools);
  rewrite_choice(reader, chat);
  rewrite_thinking(reader, chat);
  if (reader.error()) return *reader.error();
  return chat;
}

}  // namespace bundle::server
