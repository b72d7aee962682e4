// Renders what the oracle scripts ask for: one JSON request a line on standard input, one JSON
// answer a line ({"text"} or {"error"}). {"template", "context", "now"} renders the template with
// its own context; {"template", "request", "tokens", "now"} an OpenAI request, as the server does.
#include <iostream>
#include <string>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "runtime/chat/answer_format_names.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/prompt.h"

namespace {

bundle::Result<std::string> render(const bundle::Json& request) {
  BUNDLE_TRY(const std::string source, bundle::get_string(request, "template", "request"));
  BUNDLE_TRY(const std::int64_t now, bundle::get_int_or(request, "now", 0, "request"));
  BUNDLE_TRY(const auto parsed, bundle::chat::ChatTemplate::parse(source, "template"));
  const bundle::Json* chat_request = bundle::find(request, "request");
  if (chat_request == nullptr) return parsed.render(*bundle::find(request, "context"), now);
  bundle::chat::TemplateVariables variables;
  for (const auto& [name, text] : bundle::find(request, "tokens")->get_object()) {
    variables.special_tokens.emplace_back(name, text.get_string());
  }
  const bundle::chat::PromptStyle style{bundle::chat::reasoning_format("auto", source), {}};
  BUNDLE_TRY(auto prompt, bundle::chat::make_prompt(parsed, *chat_request, variables, style, now));
  return std::move(prompt.text);
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = bundle::parse_json(line, "request");
    if (request.has_error()) {
      std::cerr << request.error().message() << '\n';
      return 1;
    }
    const auto text = render(*request);
    bundle::JsonObject answer;
    if (text.has_error()) {
      answer["error"] = text.error().message();
    } else {
      answer["text"] = *text;
    }
    std::cout << bundle::print_json(answer) << '\n';
  }
  return 0;
}
