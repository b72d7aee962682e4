// bundle prompt: exactly the text that a model would be given.
#include "runtime/chat/prompt.h"

#include <cstdlib>
#include <ctime>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/read_input.h"
#include "runtime/chat/answer_format_names.h"
#include "runtime/chat/chat_template.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/launch/template_source.h"

namespace bundle::cli {
namespace {

struct PromptArguments {
  std::string reference;
  std::string template_file;
  std::string input = "-";
};

/// The clock that templates see: BUNDLE_NOW ("2026-11-23T12:34:56", UTC, or seconds since 1970).
Result<std::int64_t> template_clock() {
  const char* now = std::getenv("BUNDLE_NOW");
  if (now == nullptr || *now == '\0') return static_cast<std::int64_t>(std::time(nullptr));
  const std::string text = now;
  if (text.size() <= 15 && text.find_first_not_of("0123456789") == std::string::npos)
    return std::stoll(text);
  std::tm time{};
  const char* end = ::strptime(now, "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr || (*end != '\0' && std::string_view(end) != "Z")) {
    return bad_input("'" + text + "' is no time", "BUNDLE_NOW",
                     "Write 2026-11-23T12:34:56, in UTC.");
  }
  return static_cast<std::int64_t>(::timegm(&time));
}

Result<std::string> from_template(const PromptArguments& arguments, const Json& context,
                                  std::int64_t now) {
  BUNDLE_TRY(const std::string source, read_file(arguments.template_file));
  BUNDLE_TRY(const auto parsed, chat::ChatTemplate::parse(source, arguments.template_file));
  return parsed.render(context, now);
}

chat::TemplateVariables variables_of(const JsonObject& tokens) {
  chat::TemplateVariables variables;
  for (const auto& [name, text] : tokens) {
    if (text.is_string()) variables.special_tokens.emplace_back(name, text.get_string());
  }
  return variables;
}

Result<launch::TemplateSource> template_source(const format::Checkpoint& checkpoint,
                                               const launch::RuntimeSettings& settings) {
  if (settings.chat_template.empty()) return launch::find_chat_template(checkpoint);
  return launch::TemplateSource{settings.chat_template, "runtime.chat_template"};
}

Result<std::string> from_model(const PromptArguments& arguments, const Json& request,
                               std::int64_t now) {
  BUNDLE_TRY(const format::Checkpoint checkpoint, open_checkpoint(arguments.reference));
  BUNDLE_TRY(const JsonObject runtime, runtime_section(arguments.reference));
  BUNDLE_TRY(const auto settings, launch::read_runtime_settings(runtime, arguments.reference));
  const auto tokenizer = tokenizer::load_tokenizer(checkpoint);
  BUNDLE_TRY(const auto source, template_source(checkpoint, settings));
  BUNDLE_TRY(const auto parsed, chat::ChatTemplate::parse(source.text, source.where));
  BUNDLE_TRY(const JsonObject tokens,
             launch::special_tokens(checkpoint, tokenizer ? tokenizer->get() : nullptr));
  const chat::PromptStyle style{chat::reasoning_format(settings.reasoning_parser, source.text),
                                settings.thinking};
  BUNDLE_TRY(chat::Prompt prompt,
             chat::make_prompt(parsed, request, variables_of(tokens), style, now));
  return std::move(prompt.text);
}

Result<Outcome> print_prompt(const PromptArguments& arguments) {
  if (arguments.template_file.empty() == arguments.reference.empty()) {
    return Error{ErrorCode::kUsage, "name a bundle, or a file with --template", "", ""};
  }
  BUNDLE_TRY(const std::string input, read_input(arguments.input));
  BUNDLE_TRY(const Json document, parse_json(input, arguments.input));
  BUNDLE_TRY(const std::int64_t now, template_clock());
  BUNDLE_TRY(std::string text, arguments.template_file.empty()
                                   ? from_model(arguments, document, now)
                                   : from_template(arguments, document, now));
  return Outcome{JsonObject{{"prompt", text}}, text, true};
}

}  // namespace

void add_prompt(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PromptArguments>();
  CLI::App* command = add_command(
      app, "prompt", "Print exactly the text that a model would be given",
      "With REF the input is an OpenAI chat request; with --template it is the template's own\n"
      "context (messages, add_generation_prompt, bos_token, …). No newline is added. BUNDLE_NOW\n"
      "(2026-11-23T12:34:56, UTC) sets the clock that templates see.\n\n"
      "Examples:\n"
      "  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}' | bundle prompt smollm2\n"
      "  bundle prompt --template chat_template.jinja --input conversation.json");
  command->add_option("REF", arguments->reference, "A bundle, model folder or .gguf file");
  command->add_option("--template", arguments->template_file, "A Jinja file")
      ->check(CLI::ExistingFile);
  command->add_option("--input", arguments->input, "JSON file; - is standard input")
      ->capture_default_str();
  on_run(command, session, [arguments] { return print_prompt(*arguments); });
}

}  // namespace bundle::cli
