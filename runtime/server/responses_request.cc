#include "runtime/server/field_reader.h"
#include "runtime/server/request_rewrite.h"
#include "runtime/server/responses_format.h"

namespace bundle::server {
namespace {

/// A text, or parts with a text each.
ApiResult<std::string> text_of(const Json& content, const std::string& where) {
  if (content.is_string()) return std::string(content.get_string());
  if (!content.is_array()) return invalid_field(where, "'" + where + "' is no text and no list.");
  std::string out;
  for (const Json& part : content.get_array()) {
    const Json* text = find(part, "text");
    if (text == nullptr || !text->is_string()) {
      return invalid_field(where, "This model takes text only: '" + where + "' has another part.");
    }
    if (!out.empty()) out += '\n';
    out += text->get_string();
  }
  return out;
}

/// Turns the items of `input` into messages. Reasoning and calls join the assistant's turn.
class ItemReader {
 public:
  ApiResult<bool> add(const Json& item, const std::string& where) {
    const Json* type = find(item, "type");
    const std::string name =
        type != nullptr && type->is_string() ? std::string(type->get_string()) : "message";
    if (name == "message") return add_message(item, where);
    if (name == "function_call") return add_call(item);
    if (name == "function_call_output") return add_result(item, where);
    if (name == "reasoning") return add_reasoning(item, where);
    return unsupported_field(where + ".type", "Items of type '" + name + "' are not supported.");
  }

  JsonArray take() { return std::move(messages_); }
  void add_system(const std::string& text) {
    messages_.emplace_back(JsonObject{{"role", "system"}, {"content", text}});
  }

 private:
  ApiResult<bool> add_message(const Json& item, const std::string& where) {
    const Json* role = find(item, "role");
    const Json* content = find(item, "content");
    if (role == nullptr || !role->is_string() || content == nullptr) {
      return invalid_field(where, "A message needs a role and a content.");
    }
    BUNDLE_TRY(const std::string text, text_of(*content, where + ".content"));
    if (*role == "assistant") {
      turn()["content"] = text;
    } else {
      messages_.emplace_back(JsonObject{{"role", *role}, {"content", text}});
    }
    return done();
  }

  ApiResult<bool> add_call(const Json& item) {
    Json& calls = turn()["tool_calls"];
    if (!calls.is_array()) calls = JsonArray();
    calls.get_array().emplace_back(
        JsonObject{{"id", member_or(item, "call_id", "")},
                   {"type", "function"},
                   {"function", JsonObject{{"name", member_or(item, "name", "")},
                                           {"arguments", member_or(item, "arguments", "{}")}}}});
    return done();
  }

  ApiResult<bool> add_result(const Json& item, const std::string& where) {
    const Json* output = find(item, "output");
    if (output == nullptr) return invalid_field(where + ".output", "The output is missing.");
    BUNDLE_TRY(const std::string text, text_of(*output, where + ".output"));
    messages_.emplace_back(JsonObject{
        {"role", "tool"}, {"tool_call_id", member_or(item, "call_id", "")}, {"content", text}});
    return done();
  }

  ApiResult<bool> add_reasoning(const Json& item, const std::string& where) {
    const Json* content = find(item, "content");
    if (content == nullptr || content->is_null()) return done();
    BUNDLE_TRY(const std::string text, text_of(*content, where + ".content"));
    turn()["reasoning_content"] = text;
    return done();
  }

  /// The assistant's turn that is being put together.
  JsonObject& turn() {
    const bool open = !messages_.empty() && messages_.back().at("role") == "assistant";
    if (!open) messages_.emplace_back(JsonObject{{"role", "assistant"}, {"content", nullptr}});
    return messages_.back().get_object();
  }

  JsonArray messages_;
};

void rewrite_tools(FieldReader& reader, JsonObject& chat) {
  const JsonArray* tools = reader.array("tools");
  if (tools == nullptr) return;
  JsonArray out;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const Json* type = find((*tools)[i], "type");
    if (type == nullptr || *type != "function") {
      return reader.fail(unsupported_field("tools[" + std::to_string(i) + "].type",
                                           "The only tools supported are functions."));
    }
    JsonObject function;
    for (const char* name : {"name", "description", "parameters", "strict"}) {
      if (const Json* value = find((*tools)[i], name)) function[name] = *value;
    }
    out.emplace_back(JsonObject{{"type", "function"}, {"function", std::move(function)}});
  }
  chat["tools"] = std::move(out);
}

void rewrite_tool_choice(FieldReader& reader, JsonObject& chat) {
  const Json* choice = reader.get("tool_choice");
  if (choice == nullptr) return;
  const Json* name = choice->is_object() ? find(*choice, "name") : nullptr;
  chat["tool_choice"] =
      name == nullptr
          ? *choice
          : Json(JsonObject{{"type", "function"}, {"function", JsonObject{{"name", *name}}}});
}

/// `text.format` has the members of a chat request's json_schema beside its type.
void rewrite_text(FieldReader& reader, JsonObject& chat) {
  const JsonObject* text = reader.object("text");
  const Json* format = text == nullptr ? nullptr : text->if_contains("format");
  if (format == nullptr || !format->is_object()) return;
  const Json* type = format->get_object().if_contains("type");
  if (type != nullptr && *type == "json_schema") {
    chat["response_format"] = JsonObject{{"type", "json_schema"}, {"json_schema", *format}};
  } else {
    chat["response_format"] = *format;
  }
}

void refuse_state(FieldReader& reader) {
  for (const char* name : {"previous_response_id", "conversation", "prompt", "background"}) {
    const Json* value = reader.get(name);
    if (value != nullptr && *value != false) {
      reader.fail(unsupported_field(
          name, std::string("'") + name + "' is not supported: this server keeps no responses."));
    }
  }
}

/// What would change the answer, and does not here.
void refuse_not_offered(FieldReader& reader) {
  const auto truncation = reader.string("truncation");
  if (truncation && *truncation != "disabled") {
    reader.fail(unsupported_field("truncation", "The only 'truncation' supported is 'disabled'."));
  }
  const JsonArray* include = reader.array("include");
  for (std::size_t i = 0; include != nullptr && i < include->size(); ++i) {
    // Agents always ask for it; there is none where reasoning is sent in the clear.
    if ((*include)[i] == "reasoning.encrypted_content") continue;
    reader.fail(unsupported_field("include[" + std::to_string(i) + "]",
                                  "The only member of 'include' supported is "
                                  "reasoning.encrypted_content."));
  }
}

}  // namespace

ApiResult<JsonObject> chat_of_responses(const JsonObject& body) {
  FieldReader reader(body);
  refuse_state(reader);
  refuse_not_offered(reader);
  JsonObject chat = copied(body, {"model", "temperature", "top_p", "top_k", "min_p", "stream",
                                  "parallel_tool_calls", "chat_template_kwargs", "seed", "stop",
                                  "cache_salt", "structured_outputs", "ignore_eos"});
  rename(body, "max_output_tokens", chat, "max_tokens");
  if (const JsonObject* reasoning = reader.object("reasoning")) {
    rename(*reasoning, "effort", chat, "reasoning_effort");
  }
  ItemReader items;
  if (const auto instructions = reader.string("instructions")) items.add_system(*instructions);
  const Json* input = reader.get("input");
  if (input == nullptr) {
    reader.fail(invalid_field("input", "'input' is required.", "missing_field"));
  } else if (input->is_string()) {
    BUNDLE_CHECK(items.add(JsonObject{{"role", "user"}, {"content", *input}}, "input"));
  } else if (const JsonArray* list = reader.array("input")) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      BUNDLE_CHECK(items.add((*list)[i], "input[" + std::to_string(i) + "]"));
    }
  }
  chat["messages"] = items.take();
  rewrite_tools(reader, chat);
  rewrite_tool_choice(reader, chat);
  rewrite_text(reader, chat);
  if (reader.error()) return *reader.error();
  return chat;
}

JsonObject echo_of_responses(const JsonObject& body) {
  JsonObject echo{{"instructions", nullptr},
                  {"max_output_tokens", nullptr},
                  {"metadata", JsonObject()},
                  {"parallel_tool_calls", true},
                  {"previous_response_id", nullptr},
                  {"reasoning", JsonObject{{"effort", nullptr}, {"summary", nullptr}}},
                  {"store", false},
                  {"temperature", nullptr},
                  {"text", JsonObject{{"format", JsonObject{{"type", "text"}}}}},
                  {"tool_choice", "auto"},
                  {"tools", JsonArray()},
                  {"top_p", nullptr},
                  {"truncation", "disabled"}};
  for (auto& [name, value] : echo) {
    const Json* said = name == "store" ? nullptr : body.if_contains(name);
    if (said != nullptr && !said->is_null()) value = *said;
  }
  return echo;
}

}  // namespace bundle::server
