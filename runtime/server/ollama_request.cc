#include "runtime/server/field_reader.h"
#include "runtime/server/ollama_format.h"
#include "runtime/server/request_rewrite.h"

namespace bundle::server {
namespace {

/// `options` has the sampling under Ollama's names. Those about the machine say nothing here.
void add_options(FieldReader& reader, JsonObject& chat) {
  const JsonObject* options = reader.object("options");
  if (options == nullptr) return;
  for (const char* name : {"temperature", "top_p", "top_k", "min_p", "seed", "stop",
                           "frequency_penalty", "presence_penalty"}) {
    rename(*options, name, chat, name);
  }
  rename(*options, "repeat_penalty", chat, "repetition_penalty");
  const Json* most = options->if_contains("num_predict");
  // -1 and -2 mean "as long as it takes".
  const bool bounded = most != nullptr && !(most->is_int64() && most->get_int64() < 0);
  if (bounded) chat["max_tokens"] = *most;
}

void add_format(FieldReader& reader, JsonObject& chat) {
  const Json* format = reader.get("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json") {
    chat["response_format"] = JsonObject{{"type", "json_object"}};
  } else if (format->is_object()) {
    chat["response_format"] =
        JsonObject{{"type", "json_schema"},
                   {"json_schema", JsonObject{{"name", "format"}, {"schema", *format}}}};
  } else {
    reader.fail(invalid_field("format", "'format' must be \"json\" or a JSON schema."));
  }
}

/// true, false, or how hard.
void add_thinking(FieldReader& reader, JsonObject& chat) {
  const Json* think = reader.get("think");
  if (think == nullptr) return;
  if (think->is_bool()) {
    chat["thinking"] = JsonObject{{"type", think->get_bool() ? "enabled" : "disabled"}};
  } else {
    chat["reasoning_effort"] = *think;
  }
}

/// "toy:latest" is "toy".
void add_model(FieldReader& reader, JsonObject& chat) {
  auto name = reader.string("model");
  if (!name) return;
  constexpr std::string_view kLatest = ":latest";
  if (name->ends_with(kLatest)) name->resize(name->size() - kLatest.size());
  chat["model"] = *name;
}

Json chat_message(const Json& message) {
  JsonObject out = message.is_object() ? message.get_object() : JsonObject{{"content", message}};
  if (const Json* calls = out.if_contains("tool_calls"); calls != nullptr && calls->is_array()) {
    JsonArray named;
    for (const Json& call : calls->get_array()) {
      JsonObject one = call.is_object() ? call.get_object() : JsonObject();
      one["type"] = "function";
      named.emplace_back(std::move(one));
    }
    out["tool_calls"] = std::move(named);
  }
  return out;
}

void refuse_images(FieldReader& reader, const Json& holder, const std::string& where) {
  const Json* images = find(holder, "images");
  const bool any = images != nullptr && images->is_array() && !images->get_array().empty();
  if (any) reader.fail(unsupported_field(where + "images", "This model takes text only."));
}

JsonArray chat_messages(FieldReader& reader) {
  JsonArray out;
  const JsonArray* messages = reader.array("messages");
  if (messages == nullptr) {
    reader.fail(invalid_field("messages", "'messages' is required.", "missing_field"));
    return out;
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    refuse_images(reader, (*messages)[i], "messages[" + std::to_string(i) + "].");
    out.push_back(chat_message((*messages)[i]));
  }
  return out;
}

JsonArray prompt_messages(FieldReader& reader) {
  JsonArray out;
  for (const char* name : {"suffix", "template", "raw"}) {
    const Json* value = reader.get(name);
    if (value != nullptr && *value != false && *value != "") {
      reader.fail(unsupported_field(
          name, std::string("'") + name + "' is not supported: use /v1/completions."));
    }
  }
  if (const auto system = reader.string("system"); system && !system->empty()) {
    out.emplace_back(JsonObject{{"role", "system"}, {"content", *system}});
  }
  const auto prompt = reader.string("prompt");
  if (!prompt) reader.fail(invalid_field("prompt", "'prompt' is required.", "missing_field"));
  out.emplace_back(JsonObject{{"role", "user"}, {"content", prompt.value_or("")}});
  return out;
}

}  // namespace

ApiResult<JsonObject> chat_of_ollama(const JsonObject& body, OllamaShape shape) {
  FieldReader reader(body);
  JsonObject chat;
  add_model(reader, chat);
  add_options(reader, chat);
  add_format(reader, chat);
  add_thinking(reader, chat);
  refuse_images(reader, body, "");
  chat["stream"] = reader.boolean("stream").value_or(true);
  rename(body, "tools", chat, "tools");
  chat["messages"] = shape == OllamaShape::kChat ? chat_messages(reader) : prompt_messages(reader);
  if (reader.error()) return *reader.error();
  return chat;
}

}  // namespace bundle::server
