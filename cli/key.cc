// bundle key: makes an API key and the line of a key file that accepts it.
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/sha256.h"
#include "cli/commands.h"
#include "runtime/server/api_key.h"

namespace bundle::cli {
namespace {

constexpr std::size_t kSecretBytes = 32;

struct KeyArguments {
  std::string name;
  std::string file;
  std::string scopes;
  double requests_per_minute = 0;
  double tokens_per_minute = 0;
  int concurrency = 0;
  double weight = 1;
  int priority = 0;
};

Result<std::string> make_secret() {
  unsigned char bytes[kSecretBytes];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) {
    return system_error("the system gives no random numbers");
  }
  std::string secret = "sk-";
  for (const unsigned char byte : bytes) secret += fmt::format("{:02x}", byte);
  return secret;
}

std::string key_line(const KeyArguments& arguments, const std::string& secret) {
  std::string line = "sha256:" + sha256_hex(secret) + " name=" + arguments.name;
  if (!arguments.scopes.empty()) line += " scopes=" + arguments.scopes;
  if (arguments.requests_per_minute > 0) {
    line += fmt::format(" requests_per_minute={:g}", arguments.requests_per_minute);
  }
  if (arguments.tokens_per_minute > 0) {
    line += fmt::format(" tokens_per_minute={:.0f}", arguments.tokens_per_minute);
  }
  if (arguments.concurrency > 0) line += fmt::format(" concurrency={}", arguments.concurrency);
  if (arguments.weight != 1) line += fmt::format(" weight={:g}", arguments.weight);
  if (arguments.priority != 0) line += fmt::format(" priority={}", arguments.priority);
  return line;
}

/// One write, so that a server that reads meanwhile sees a whole line or none.
Status append(const std::string& file, const std::string& line) {
  const Fd fd(::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return system_error("cannot open the key file", file);
  const std::string text = line + "\n";
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) {
    return system_error("cannot write the key file", file);
  }
  return {};
}

Result<Outcome> make_key(const KeyArguments& arguments) {
  BUNDLE_TRY(const std::string secret, make_secret());
  const std::string line = key_line(arguments, secret);
  if (const auto parsed = server::parse_key_file(line, "the key"); !parsed) {
    return Error{ErrorCode::kUsage, parsed.error().what, "", parsed.error().remedy};
  }
  std::string text = secret + "\n" + line + "\n";
  if (!arguments.file.empty()) {
    BUNDLE_CHECK(append(arguments.file, line));
    text = secret + "\n";
  }
  return Outcome{JsonObject{{"key", secret}, {"line", line}, {"file", arguments.file}}, text};
}

}  // namespace

void add_key(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<KeyArguments>();
  CLI::App* command = add_command(
      app, "key", "Make an API key",
      "Prints a new key, once, and the line that accepts it: a hash, and what the key may do.\n"
      "With --file the line is appended there; a server that runs with --api-key-file takes it\n"
      "within seconds.\n\n"
      "Examples:\n"
      "  bundle key alice --file keys.txt\n"
      "  bundle key scraper --scopes metrics --file keys.txt\n"
      "  bundle key batch --requests-per-minute 60 --concurrency 4 --weight 0.5");
  command->add_option("NAME", arguments->name, "Whom it is for, in logs and metrics")->required();
  command->add_option("--file", arguments->file, "Key file to append the line to");
  command->add_option("--scopes", arguments->scopes, "inference, metrics, or both; default both");
  command->add_option("--requests-per-minute", arguments->requests_per_minute, "0: no limit")
      ->check(CLI::Range(0.0, 1e12));
  command->add_option("--tokens-per-minute", arguments->tokens_per_minute, "0: no limit")
      ->check(CLI::Range(0.0, 1e12));
  command->add_option("--concurrency", arguments->concurrency, "Answers at once; 0: no limit")
      ->check(CLI::Range(0, 1000000));
  command->add_option("--weight", arguments->weight, "Share of the queue beside other keys")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1e6));
  command->add_option("--priority", arguments->priority, "The most urgent it may ask for")
      ->capture_default_str();
  on_run(command, session, [arguments] { return make_key(*arguments); });
}

}  // namespace bundle::cli
