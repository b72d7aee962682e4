#include "cloud/host/host.h"

#include <algorithm>

namespace bundle::cloud {
namespace {

std::string first_word(const std::vector<std::string>& argv) {
  return argv.empty() ? "" : argv.front();
}

Error refused(const Host& host, const std::string& what, const CommandResult& result) {
  std::string said = result.err.empty() ? result.out : result.err;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return failed(what + " ended with code " + std::to_string(result.exit_code), host.name(),
                said.empty() ? "" : "It said: " + said);
}

}  // namespace

Result<std::string> run_checked(const Host& host, const std::vector<std::string>& argv,
                                std::string_view input) {
  BUNDLE_TRY(CommandResult result, host.run(argv, input));
  if (result.exit_code != 0) return refused(host, "'" + first_word(argv) + "'", result);
  return std::move(result.out);
}

Result<std::string> run_script(const Host& host, std::string_view script,
                               const std::vector<std::string>& arguments, std::string_view input) {
  std::vector<std::string> argv = {"sh", "-c", std::string(script), "sh"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  BUNDLE_TRY(CommandResult result, host.run(argv, input));
  if (result.exit_code != 0) return refused(host, "a step", result);
  return std::move(result.out);
}

Result<std::optional<std::string>> read_text(const Host& host, const std::string& path) {
  constexpr int kAbsent = 44;
  BUNDLE_TRY(CommandResult result,
             host.run({"sh", "-c", "[ -e \"$1\" ] || exit 44; exec cat -- \"$1\"", "sh", path}));
  if (result.exit_code == kAbsent) return std::optional<std::string>();
  if (result.exit_code != 0) return refused(host, "reading " + path, result);
  return std::optional(std::move(result.out));
}

Status write_text(const Host& host, const std::string& path, std::string_view text,
                  const std::string& mode) {
  // umask first: a secret is never readable by others, not even under its temporary name.
  constexpr std::string_view kScript =
      "set -e; umask 077; d=$(dirname -- \"$1\"); [ -d \"$d\" ] || (umask 022; mkdir -p -- "
      "\"$d\"); "
      "trap 'rm -f -- \"$1.new\"' EXIT; cat > \"$1.new\"; chmod \"$2\" -- \"$1.new\"; "
      "sync -- \"$1.new\"; mv -f -- \"$1.new\" \"$1\"";
  BUNDLE_CHECK(run_script(host, kScript, {path, mode}, text));
  return {};
}

Result<std::vector<std::string>> missing_files(
    const Host& host, const std::vector<std::pair<std::string, std::uint64_t>>& paths) {
  std::vector<std::string> missing;
  constexpr std::size_t kAtOnce = 200;  // bounds the length of a command line
  for (std::size_t from = 0; from < paths.size(); from += kAtOnce) {
    std::vector<std::string> arguments;
    for (std::size_t i = from; i < std::min(paths.size(), from + kAtOnce); ++i) {
      arguments.push_back(paths[i].first);
      arguments.push_back(std::to_string(paths[i].second));
    }
    BUNDLE_TRY(const std::string lines,
               run_script(host,
                          "while [ $# -gt 0 ]; do [ \"$(stat -L -c %s -- \"$1\" 2>/dev/null)\" = "
                          "\"$2\" ] || printf '%s\\n' \"$1\"; shift 2; done",
                          arguments));
    for (std::size_t at = 0; at < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', at), lines.size());
      missing.push_back(lines.substr(at, end - at));
      at = end + 1;
    }
  }
  return missing;
}

}  // namespace bundle::cloud
