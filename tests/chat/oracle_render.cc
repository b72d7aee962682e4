// Renders what the oracle scripts ask for: one JSON request a line on standard input
// ({"template", "context", "now"}), one JSON answer a line ({"text"} or {"error"}).
#include <iostream>
#include <string>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "runtime/chat/chat_template.h"

namespace {

bundle::Result<std::string> render(const bundle::Json& request) {
  BUNDLE_TRY(const std::string source, bundle::get_string(request, "template", "request"));
  BUNDLE_TRY(const std::int64_t now, bundle::get_int_or(request, "now", 0, "request"));
  BUNDLE_TRY(const auto parsed, bundle::chat::ChatTemplate::parse(source, "template"));
  return parsed.render(*bundle::find(request, "context"), now);
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
