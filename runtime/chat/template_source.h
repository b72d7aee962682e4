// Which of the texts that come with a model is its chat template.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bundle::chat {

/// The places a template may stand in; empty where a model has none.
struct TemplateFiles {
  std::optional<std::string> jinja;  // chat_template.jinja
  std::optional<Json> json;          // chat_template.json
  std::optional<Json> tokenizer_config;
  /// GGUF's tokenizer.chat_template as "default", tokenizer.chat_template.NAME as NAME.
  std::vector<std::pair<std::string, std::string>> gguf;
};

/// The value of a `chat_template` key: a text, or a list of {"name", "template"}, from which
/// "tool_use" is taken for a request with tools, else "default". `where` names the file in errors.
Result<std::string> choose_template(const Json& value, bool with_tools, std::string_view where);

/// The template for a request with or without tools: chat_template.jinja first, then
/// chat_template.json, tokenizer_config.json and GGUF. kNotFound when the model has none.
Result<std::string> find_template(const TemplateFiles& files, bool with_tools);

}  // namespace bundle::chat
