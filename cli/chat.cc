// bundle chat: talk to a model on the terminal.
#include <cstdio>
#include <iostream>
#include <memory>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/chat_client.h"
#include "cli/chat_target.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

struct ChatArguments {
  std::string reference;
  std::string message;
  std::string system;
  std::string api_key_file;
  double temperature = -1;
  std::int64_t max_tokens = 0;
  std::int64_t seed = -1;
};

void print_now(std::string_view text, std::FILE* stream = stdout) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

/// Shows an answer while it comes: on standard output, and the reasoning before it, dimmed on a
/// terminal, on standard error.
class AnswerPrinter {
 public:
  void print(ChatClient::Part part, std::string_view text) {
    const bool reasoning = part == ChatClient::Part::kReasoning;
    if (reasoning != reasoning_) print_now(reasoning ? dim_ : plain_, stderr);
    reasoning_ = reasoning;
    print_now(text, reasoning ? stderr : stdout);
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  const std::string_view dim_ = terminal_ ? "\033[2m" : "";
  const std::string_view plain_ = terminal_ ? "\033[0m\n" : "\n";
  bool reasoning_ = false;
};

Result<ChatOptions> chat_options(const ChatArguments& arguments) {
  ChatOptions options;
  if (arguments.temperature >= 0) options.temperature = arguments.temperature;
  if (arguments.max_tokens > 0) options.max_tokens = arguments.max_tokens;
  if (arguments.seed >= 0) options.seed = arguments.seed;
  if (!arguments.api_key_file.empty()) {
    BUNDLE_TRY(const std::string keys, read_file(arguments.api_key_file, 1u << 20));
    options.api_key = keys.substr(0, keys.find('\n'));
  }
  return options;
}

/// One question and its answer. The text streams as it comes, unless a document is wanted.
Result<Outcome> one_shot(ChatClient& client, const ChatArguments& arguments,
                         const Session& session) {
  const bool stream = !session.json;
  AnswerPrinter printer;
  BUNDLE_TRY(const ChatAnswer answer,
             client.ask(arguments.message, [&](ChatClient::Part part, std::string_view text) {
               if (stream) printer.print(part, text);
             }));
  Json document = JsonObject{{"answer", answer.text},
                             {"reasoning", answer.reasoning},
                             {"finish_reason", answer.finish_reason},
                             {"prompt_tokens", answer.prompt_tokens},
                             {"completion_tokens", answer.completion_tokens}};
  return Outcome{std::move(document), "\n"};
}

constexpr const char* kChatHelp =
    "/system TEXT  set the system message   /reset  begin anew   /exit  leave\n";

/// Carries out a line that begins with a slash. False: leave.
bool obey(ChatClient& client, const std::string& line) {
  if (line == "/exit" || line == "/quit") return false;
  if (line == "/reset") {
    client.reset();
  } else if (line.rfind("/system", 0) == 0) {
    client.set_system(line.size() > 8 ? line.substr(8) : "");
    client.reset();
  } else {
    std::fputs(kChatHelp, stderr);
  }
  return true;
}

Result<Outcome> converse(ChatClient& client) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) std::fputs(kChatHelp, stderr);
  for (std::string line;;) {
    if (terminal) std::fputs("> ", stderr);
    if (!std::getline(std::cin, line) || interrupted()) break;
    if (line.empty()) continue;
    if (line.front() == '/') {
      if (!obey(client, line)) break;
      continue;
    }
    AnswerPrinter printer;
    const auto answer = client.ask(
        line, [&](ChatClient::Part part, std::string_view text) { printer.print(part, text); });
    print_now("\n");
    if (!answer) return answer.error();
  }
  return Outcome{nullptr, "", true};
}

Result<Outcome> chat(const ChatArguments& arguments, const Session& session) {
  BUNDLE_TRY(ChatOptions options, chat_options(arguments));
  BUNDLE_TRY(const ChatTarget target, ChatTarget::open(arguments.reference, session.progress()));
  ChatClient client(target.url(), std::move(options));
  client.set_system(arguments.system);
  return arguments.message.empty() ? converse(client) : one_shot(client, arguments, session);
}

}  // namespace

void add_chat(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ChatArguments>();
  CLI::App* command = add_command(
      app, "chat", "Talk to a model",
      "REF is a deployment, a server's URL, or a bundle, model folder or .gguf file, which is "
      "then\n"
      "served privately for as long as the conversation lasts.\n\n"
      "Examples:\n"
      "  bundle chat prod\n"
      "  bundle chat smollm2 --message 'What is the capital of France?' --temperature 0\n"
      "  bundle chat http://127.0.0.1:8000");
  command->add_option("REF", arguments->reference, "Whom to talk to")->required();
  command->add_option("-m,--message", arguments->message, "Ask this, print the answer and end");
  command->add_option("--system", arguments->system, "System message");
  command->add_option("--temperature", arguments->temperature, "0 gives the same answer always")
      ->check(CLI::Range(0.0, 2.0));
  command->add_option("--max-tokens", arguments->max_tokens, "Longest answer")
      ->check(CLI::PositiveNumber);
  command->add_option("--seed", arguments->seed, "Of the choice of tokens")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--api-key-file", arguments->api_key_file, "The first line is the key to use")
      ->check(CLI::ExistingFile);
  on_run(command, session, [arguments, &session] { return chat(*arguments, session); });
}

}  // namespace bundle::cli
