// bundle tokenize: text to token ids and back, as the model sees it.
#include <cerrno>
#include <memory>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/read_input.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::cli {
namespace {

struct TokenizeArguments {
  std::string reference;
  std::string tokenizer;
  bool decode = false;
  bool no_special = false;
};

Result<std::shared_ptr<const tokenizer::Tokenizer>> open_tokenizer(
    const TokenizeArguments& arguments) {
  if (arguments.tokenizer.empty() == arguments.reference.empty()) {
    return Error{ErrorCode::kUsage, "name a bundle, or a file with --tokenizer", "", ""};
  }
  if (!arguments.tokenizer.empty()) return tokenizer::load_tokenizer_file(arguments.tokenizer);
  BUNDLE_TRY(const format::Checkpoint checkpoint, open_checkpoint(arguments.reference));
  return tokenizer::load_tokenizer(checkpoint);
}

Result<std::vector<std::int32_t>> parse_ids(const std::string& text) {
  BUNDLE_TRY(const Json document, parse_json(text, "standard input"));
  std::vector<std::int32_t> ids;
  const JsonArray* list = document.if_array();
  if (list == nullptr) return bad_input("not a JSON list of token ids", "standard input");
  for (const Json& item : *list) {
    const auto* id = item.if_int64();
    if (id == nullptr || *id < 0 || *id > INT32_MAX) {
      return bad_input("'" + print_json(item) + "' is no token id", "standard input");
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

Outcome encoded(const tokenizer::Tokenizer& tokenizer, const std::string& text, bool add_special) {
  JsonArray ids;
  for (const std::int32_t id : tokenizer.encode(text, {.add_special = add_special})) {
    ids.emplace_back(id);
  }
  Json document = std::move(ids);
  std::string line = print_json(document) + "\n";
  return {std::move(document), std::move(line), true};
}

Result<Outcome> tokenize(const TokenizeArguments& arguments) {
  BUNDLE_TRY(const auto tokenizer, open_tokenizer(arguments));
  BUNDLE_TRY(const std::string input, read_input("-"));
  if (!arguments.decode) return encoded(*tokenizer, input, !arguments.no_special);
  BUNDLE_TRY(const auto ids, parse_ids(input));
  std::string text = tokenizer->decode(ids, arguments.no_special);
  return Outcome{Json(replace_invalid(text)), std::move(text)};
}

}  // namespace

void add_tokenize(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<TokenizeArguments>();
  CLI::App* command = add_command(
      app, "tokenize", "Turn text into token ids, or back, as a model does",
      "Reads standard input to its end, as it is. Prints the ids as a JSON list; with --decode\n"
      "reads such a list and prints the text, nothing added.\n\n"
      "Examples:\n"
      "  printf 'Hello world' | bundle tokenize smollm2\n"
      "  echo '[19556, 905]' | bundle tokenize smollm2 --decode\n"
      "  bundle tokenize --tokenizer tokenizer.json < text.txt");
  command->add_option("REF", arguments->reference, "A bundle, model folder or .gguf file");
  command->add_option("--tokenizer", arguments->tokenizer,
                      "tokenizer.json, .gguf, tokenizer.model, tekken.json or tiktoken ranks");
  command->add_flag("--decode", arguments->decode, "From ids to text");
  command->add_flag("--no-special", arguments->no_special,
                    "Add no begin and end tokens; with --decode leave special tokens out");
  on_run(command, session, [arguments] { return tokenize(*arguments); });
}

}  // namespace bundle::cli
