#include "runtime/server/output_constraint.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <set>

#include "runtime/server/schema_check.h"

namespace bundle::server {
namespace {

constexpr std::int64_t kMostWhitespace = 64;  // between two tokens of JSON
constexpr std::size_t kMostTools = 128;

JsonObject json_schema(const Json& schema) {
  return {
      {"type", "json_schema"}, {"json_schema", schema}, {"max_whitespace_cnt", kMostWhitespace}};
}

JsonObject any_object() { return json_schema(JsonObject{{"type", "object"}}); }

JsonObject constant(std::string_view text) { return {{"type", "const_string"}, {"value", text}}; }

JsonObject sequence(std::vector<Json> elements) {
  return {{"type", "sequence"}, {"elements", JsonArray(elements.begin(), elements.end())}};
}

/// A schema as an object, or true; also as JSON text, as some clients send it. What no grammar can
/// hold is refused, unless the client wants it `loose`.
std::optional<Json> schema_of(FieldReader& reader, const Json& value, const std::string& param,
                              bool loose) {
  Json schema = value;
  if (value.is_string()) {
    auto parsed = parse_json(value.get_string(), param);
    if (parsed) schema = *std::move(parsed);
  }
  if (!schema.is_object() && !schema.is_bool()) {
    reader.fail(
        invalid_field(param, fmt::format("'{}' must be a JSON schema.", param), "invalid_type"));
    return std::nullopt;
  }
  const auto unheld = loose ? std::nullopt : unheld_keyword(schema);
  if (!unheld) return schema;
  reader.fail(invalid_field(param,
                            fmt::format("The schema's '{}' can not be compiled: no output could be "
                                        "held to it.",
                                        *unheld),
                            "invalid_constraint"));
  return std::nullopt;
}

std::optional<Json> of_response_format(FieldReader& reader, const JsonObject& format, bool& exact) {
  const Json* type = format.if_contains("type");
  const std::string name =
      type != nullptr && type->is_string() ? std::string(type->get_string()) : "";
  if (name == "text") return std::nullopt;
  if (name == "json_object") {
    const Json* schema = format.if_contains("schema");  // as llama.cpp and others take it
    if (schema == nullptr || schema->is_null()) return Json(any_object());
    const auto read = schema_of(reader, *schema, "response_format.schema", false);
    return read ? std::optional<Json>(json_schema(*read)) : std::nullopt;
  }
  if (name == "json_schema") {
    const Json* inner = format.if_contains("json_schema");
    const Json* schema = inner == nullptr ? nullptr : find(*inner, "schema");
    if (schema == nullptr) {
      reader.fail(invalid_field("response_format.json_schema",
                                "'response_format.json_schema' needs a 'schema'.",
                                "missing_field"));
      return std::nullopt;
    }
    const Json* strict = find(*inner, "strict");
    const bool loose = strict != nullptr && strict->is_bool() && !strict->get_bool();
    exact = !loose;
    const auto read = schema_of(reader, *schema, "response_format.json_schema.schema", loose);
    return read ? std::optional<Json>(json_schema(*read)) : std::nullopt;
  }
  if (name == "structural_tag" && format.contains("format")) return format.at("format");
  reader.fail(invalid_field("response_format.type",
                            "'response_format.type' must be text, json_object, json_schema or "
                            "structural_tag (with its 'format')."));
  return std::nullopt;
}

std::optional<Json> choice_of(FieldReader& reader, const Json& value) {
  JsonArray elements;
  for (const Json& entry : value.is_array() ? value.get_array() : JsonArray()) {
    if (entry.is_string() && !entry.get_string().empty()) {
      elements.emplace_back(constant(entry.get_string()));
    } else {
      elements.clear();
      break;
    }
  }
  if (!elements.empty()) return Json(JsonObject{{"type", "or"}, {"elements", std::move(elements)}});
  reader.fail(invalid_field("structured_outputs.choice",
                            "'structured_outputs.choice' must be a list of strings that are not "
                            "empty, at least one.",
                            value.is_array() ? "invalid_value" : "invalid_type"));
  return std::nullopt;
}

std::optional<Json> text_format(FieldReader& reader, const std::string& key, const Json& value,
                                const char* type, const char* member) {
  if (value.is_string() && !value.get_string().empty()) {
    return Json(JsonObject{{"type", type}, {member, value}});
  }
  reader.fail(
      invalid_field("structured_outputs." + key,
                    fmt::format("'structured_outputs.{}' must be a string that is not empty.", key),
                    value.is_string() ? "invalid_value" : "invalid_type"));
  return std::nullopt;
}

/// {"format": …}, also as JSON text.
std::optional<Json> structural_tag(FieldReader& reader, const Json& value) {
  Json tag = value;
  if (value.is_string()) {
    auto parsed = parse_json(value.get_string(), "structured_outputs.structural_tag");
    if (parsed) tag = *std::move(parsed);
  }
  if (const Json* format = find(tag, "format"); format != nullptr) return *format;
  reader.fail(invalid_field("structured_outputs.structural_tag",
                            "'structured_outputs.structural_tag' must be an object with a "
                            "'format'."));
  return std::nullopt;
}

std::optional<Json> of_structured_outputs(FieldReader& reader, const JsonObject& outputs) {
  std::string key;
  for (const auto& [name, value] : outputs) {
    if (value.is_null() || value == false) continue;
    if (name == "whitespace_pattern" || name == "disable_any_whitespace" ||
        name == "disable_additional_properties") {
      reader.fail(unsupported_field(
          "structured_outputs." + std::string(name),
          fmt::format("'structured_outputs.{}' is not supported.", std::string_view(name))));
      return std::nullopt;
    }
    if (!key.empty()) {
      reader.fail(invalid_field("structured_outputs",
                                fmt::format("'structured_outputs' has both '{}' and '{}': only one "
                                            "can hold.",
                                            key, std::string_view(name))));
      return std::nullopt;
    }
    key = name;
  }
  if (key.empty()) {
    reader.fail(invalid_field("structured_outputs",
                              "'structured_outputs' needs one of json, json_object, regex, choice, "
                              "grammar and structural_tag."));
    return std::nullopt;
  }
  const Json& value = outputs.at(key);
  if (key == "json_object") return Json(any_object());
  if (key == "json") {
    const auto schema = schema_of(reader, value, "structured_outputs.json", false);
    return schema ? std::optional<Json>(json_schema(*schema)) : std::nullopt;
  }
  if (key == "choice") return choice_of(reader, value);
  if (key == "regex") return text_format(reader, key, value, "regex", "pattern");
  if (key == "grammar") return text_format(reader, key, value, "grammar", "grammar");
  if (key == "structural_tag") return structural_tag(reader, value);
  reader.fail(unsupported_field("structured_outputs." + key,
                                fmt::format("'structured_outputs.{}' is not supported.", key)));
  return std::nullopt;
}

bool is_function_name(std::string_view name) {
  return name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

/// Of a function that is `strict` all of the schema must hold.
void check_parameters(FieldReader& reader, const Json& function, const std::string& place) {
  const Json* parameters = find(function, "parameters");
  if (parameters == nullptr || parameters->is_null()) return;
  if (!parameters->is_object()) {
    return reader.fail(invalid_field(place + ".parameters",
                                     "A tool's parameters must be a JSON schema.", "invalid_type"));
  }
  const Json* strict = find(function, "strict");
  const bool loose = strict == nullptr || *strict != true;
  schema_of(reader, *parameters, place + ".parameters", loose);
}

void check_tools(FieldReader& reader, const JsonArray& tools) {
  if (tools.size() > kMostTools) {
    return reader.fail(invalid_field(
        "tools", fmt::format("'tools' may have {} entries, got {}.", kMostTools, tools.size())));
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string place = "tools[" + std::to_string(i) + "]";
    const Json* type = find(tools[i], "type");
    const Json* function = find(tools[i], "function");
    const Json* name = function == nullptr ? nullptr : find(*function, "name");
    const bool is_function = type == nullptr || *type == "function";
    if (!is_function || name == nullptr || !name->is_string() || name->get_string().empty()) {
      return reader.fail(invalid_field(place,
                                       "A tool must be {\"type\": \"function\", \"function\": "
                                       "{\"name\": …}}."));
    }
    const std::string spelled(name->get_string());
    if (!is_function_name(spelled)) {
      return reader.fail(invalid_field(place + ".function.name",
                                       "A function's name must have 1 to 64 letters, digits, "
                                       "underscores, dashes and dots."));
    }
    if (!names.insert(spelled).second) {
      return reader.fail(invalid_field(place + ".function.name",
                                       fmt::format("Two functions have the name '{}'.", spelled)));
    }
    check_parameters(reader, *function, place + ".function");
  }
}

bool has_tool(const JsonArray& tools, std::string_view name) {
  for (const Json& tool : tools) {
    if (tool.at("function").at("name").get_string() == name) return true;
  }
  return false;
}

ToolChoice choice_of_value(FieldReader& reader, const Json& value, const JsonArray* tools) {
  const bool any = tools != nullptr && !tools->empty();
  if (value == "none") return {};
  if (value == "auto") return {any ? ToolChoice::Kind::kAuto : ToolChoice::Kind::kNone};
  const bool required = value == "required";
  const Json* function = value.is_object() ? find(value, "function") : nullptr;
  const Json* name = function == nullptr ? nullptr : find(*function, "name");
  const bool named = name != nullptr && name->is_string();
  if (!required && !named) {
    reader.fail(invalid_field("tool_choice",
                              "'tool_choice' must be none, auto, required, or {\"type\": "
                              "\"function\", \"function\": {\"name\": …}}."));
    return {};
  }
  if (!any) {
    reader.fail(invalid_field("tool_choice", "'tool_choice' needs 'tools' to choose from."));
    return {};
  }
  if (required) return {ToolChoice::Kind::kRequired};
  const std::string wanted(name->get_string());
  if (!reader.error() && !has_tool(*tools, wanted)) {
    reader.fail(invalid_field(
        "tool_choice",
        fmt::format("'tool_choice' names '{}', which is not among the tools.", wanted)));
  }
  return {ToolChoice::Kind::kNamed, wanted};
}

/// What stands around the calls, between two of them, and around one.
struct CallFrame {
  std::string before_all, between, after_all;
  std::string before_name, before_arguments, after;
  const char* arguments = "json_schema";
};

CallFrame frame_of(chat::ToolFormat form) {
  switch (form) {
    case chat::ToolFormat::kQwen3Coder:
      return {"",
              "\n",
              "",
              "<tool_call>\n<function=",
              ">\n",
              "\n</function>\n</tool_call>",
              "qwen_xml_parameter"};
    case chat::ToolFormat::kDeepSeekV3:
      return {"<｜tool▁calls▁begin｜>",
              "\n",
              "<｜tool▁calls▁end｜>",
              "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
              "\n```json\n",
              "\n```<｜tool▁call▁end｜>"};
    case chat::ToolFormat::kDeepSeekV31:
      return {"<｜tool▁calls▁begin｜>", "",
              "<｜tool▁calls▁end｜>",   "<｜tool▁call▁begin｜>",
              "<｜tool▁sep｜>",         "<｜tool▁call▁end｜>"};
    case chat::ToolFormat::kLlama3:
      return {"", "; ", "", "{\"name\": \"", "\", \"parameters\": ", "}"};
    case chat::ToolFormat::kMistral:
      return {"[TOOL_CALLS][", ", ", "]", "{\"name\": \"", "\", \"arguments\": ", "}"};
    case chat::ToolFormat::kKimiK2:
      return {"<|tool_calls_section_begin|>",   "",
              "<|tool_calls_section_end|>",     "<|tool_call_begin|>functions.",
              ":0<|tool_call_argument_begin|>", "<|tool_call_end|>"};
    default:
      return {"", "\n", "", "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>"};
  }
}

/// A name inside a JSON string, or as it is.
std::string spelled(const std::string& name, const CallFrame& frame) {
  if (!frame.before_name.ends_with('"')) return name;
  const std::string quoted = print_json(Json(name));
  return quoted.substr(1, quoted.size() - 2);
}

/// A function that names no parameters takes none.
Json no_parameters() {
  return JsonObject{
      {"type", "object"}, {"properties", JsonObject()}, {"additionalProperties", false}};
}

JsonObject arguments_format(const Json& function, const CallFrame& frame) {
  const Json* parameters = find(function, "parameters");
  const bool none = parameters == nullptr || parameters->is_null();
  JsonObject format = json_schema(none ? no_parameters() : *parameters);
  format["type"] = frame.arguments;
  return format;
}

}  // namespace

ToolChoice read_tool_choice(FieldReader& reader) {
  const JsonArray* tools = reader.array("tools");
  if (tools != nullptr) check_tools(reader, *tools);
  const Json* value = reader.get("tool_choice");
  const bool any = tools != nullptr && !tools->empty();
  if (value == nullptr) return {any ? ToolChoice::Kind::kAuto : ToolChoice::Kind::kNone};
  return choice_of_value(reader, *value, tools);
}

void read_output_format(FieldReader& reader, GenerationParams& params) {
  const JsonObject* format = reader.object("response_format");
  const JsonObject* outputs = reader.object("structured_outputs");
  std::optional<Json>& wanted = params.output_format;
  if (format != nullptr) wanted = of_response_format(reader, *format, params.exact_format);
  if (outputs == nullptr) return;
  if (wanted) {
    reader.fail(invalid_field("structured_outputs",
                              "'structured_outputs' and 'response_format' exclude each other."));
  }
  wanted = of_structured_outputs(reader, *outputs);
}

Json tool_call_format(const JsonArray& tools, const ToolChoice& choice, chat::ToolFormat form,
                      bool parallel) {
  const CallFrame frame = frame_of(form);
  JsonArray tags;
  for (const Json& tool : tools) {
    const Json& function = tool.at("function");
    const std::string name(function.at("name").get_string());
    if (choice.kind == ToolChoice::Kind::kNamed && name != choice.name) continue;
    tags.emplace_back(
        JsonObject{{"type", "tag"},
                   {"begin", frame.before_name + spelled(name, frame) + frame.before_arguments},
                   {"content", arguments_format(function, frame)},
                   {"end", frame.after}});
  }
  const bool one = !parallel || choice.kind == ToolChoice::Kind::kNamed;
  JsonObject calls{{"type", "tags_with_separator"},
                   {"tags", std::move(tags)},
                   {"separator", frame.between},
                   {"at_least_one", true},
                   {"stop_after_first", one}};
  if (frame.before_all.empty()) return calls;
  return sequence({constant(frame.before_all), std::move(calls), constant(frame.after_all)});
}

engine::OutputConstraint constrain(Json format, const chat::AnswerSyntax& answer) {
  engine::OutputConstraint out;
  const bool reasons = answer.reasoning != chat::ReasoningFormat::kNone;
  const chat::ReasoningTags tags = chat::reasoning_tags(answer.reasoning);
  if (reasons && answer.start == chat::ReasoningStart::kReasoning) out.after = tags.end;
  if (reasons && answer.start == chat::ReasoningStart::kUndecided) {
    // The model may reason first; what follows is bound all the same.
    JsonObject reasoning{{"type", "tag"},
                         {"begin", tags.begin},
                         {"content", JsonObject{{"type", "any_text"}}},
                         {"end", tags.end}};
    JsonObject breaks{{"type", "regex"}, {"pattern", "\\n{0,2}"}};
    JsonObject first = sequence({std::move(reasoning), std::move(breaks)});
    JsonObject maybe{{"type", "optional"}, {"content", std::move(first)}};
    format = sequence({std::move(maybe), std::move(format)});
  }
  out.tag = print_json(JsonObject{{"type", "structural_tag"}, {"format", std::move(format)}});
  return out;
}

std::optional<ApiError> set_constraint(GenerationParams& params, const FieldReader& reader) {
  if (!params.output_format) return std::nullopt;
  params.sampling.constraint = constrain(*params.output_format, params.answer);
  const auto unheld = params.exact_format ? engine::Unheld::kRefused : engine::Unheld::kLeftOut;
  const Status checked = engine::check_constraint(params.sampling.constraint.tag, unheld);
  if (checked) return std::nullopt;
  std::string param = "tools";
  for (const char* field : {"response_format", "structured_outputs"}) {
    if (reader.get(field) != nullptr) param = field;
  }
  return invalid_field(param, checked.error().message(), "invalid_constraint");
}

}  // namespace bundle::server
