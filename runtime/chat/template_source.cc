#include "runtime/chat/template_source.h"

#include <algorithm>

#include <boost/json/array.hpp>

namespace bundle::chat {
namespace {

using Named = std::vector<std::pair<std::string, std::string>>;

const std::string* find_named(const Named& templates, std::string_view name) {
  const auto at = std::find_if(templates.begin(), templates.end(),
                               [&](const auto& entry) { return entry.first == name; });
  return at == templates.end() ? nullptr : &at->second;
}

Result<std::string> choose_named(const Named& templates, bool with_tools, std::string_view where) {
  const std::string* tool_use = find_named(templates, "tool_use");
  if (with_tools && tool_use != nullptr) return *tool_use;
  const std::string* usual = find_named(templates, "default");
  if (usual != nullptr) return *usual;
  return bad_input("none of the chat templates is named 'default'", std::string(where),
                   "Name the one to use 'default'.");
}

/// The chat_template of a JSON file, or null.
const Json* template_of(const std::optional<Json>& file) {
  const Json* value = file ? find(*file, "chat_template") : nullptr;
  return value == nullptr || value->is_null() ? nullptr : value;
}

}  // namespace

Result<std::string> choose_template(const Json& value, bool with_tools, std::string_view where) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_array()) {
    return bad_input("chat_template is neither a text nor a list", std::string(where));
  }
  Named templates;
  for (const Json& entry : value.get_array()) {
    BUNDLE_TRY(std::string name, get_string(entry, "name", where));
    BUNDLE_TRY(std::string text, get_string(entry, "template", where));
    templates.emplace_back(std::move(name), std::move(text));
  }
  return choose_named(templates, with_tools, where);
}

Result<std::string> find_template(const TemplateFiles& files, bool with_tools) {
  if (files.jinja) return *files.jinja;
  if (const Json* value = template_of(files.json)) {
    return choose_template(*value, with_tools, "chat_template.json");
  }
  if (const Json* value = template_of(files.tokenizer_config)) {
    return choose_template(*value, with_tools, "tokenizer_config.json");
  }
  if (!files.gguf.empty()) return choose_named(files.gguf, with_tools, "tokenizer.chat_template");
  return not_found("the model has no chat template", "",
                   "Add a chat_template.jinja beside its files, or send text to /v1/completions.");
}

}  // namespace bundle::chat
