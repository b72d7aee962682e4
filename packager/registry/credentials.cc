#include "packager/registry/credentials.h"

#include <cstdlib>
#include <vector>

#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/command.h"
#include "base/json.h"

namespace bundle::packager::registry {
namespace {

constexpr std::uint64_t kMostConfigBytes = 4u << 20;
constexpr std::chrono::seconds kHelperLimit{60};
constexpr std::string_view kDockerHub = "https://index.docker.io/v1/";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<Path> config_files(const Path& auth_file) {
  if (!auth_file.empty()) return {auth_file};
  std::vector<Path> files;
  if (const std::string file = variable("REGISTRY_AUTH_FILE"); !file.empty()) files.push_back(file);
  if (const std::string folder = variable("DOCKER_CONFIG"); !folder.empty()) {
    files.push_back(Path(folder) / "config.json");
  } else if (const std::string home = variable("HOME"); !home.empty()) {
    files.push_back(Path(home) / ".docker/config.json");
  }
  if (const std::string folder = variable("XDG_RUNTIME_DIR"); !folder.empty()) {
    files.push_back(Path(folder) / "containers/auth.json");
  }
  return files;
}

/// The names under which a registry may stand in `auths`.
std::vector<std::string> keys_of(const std::string& registry) {
  std::vector<std::string> keys{registry, "https://" + registry, "https://" + registry + "/v1/",
                                "https://" + registry + "/v2/"};
  if (registry == "docker.io" || registry == "registry-1.docker.io") {
    keys.emplace_back(kDockerHub);
    keys.emplace_back("docker.io");
  }
  return keys;
}

bool is_helper_name(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos;
}

/// Asks docker-credential-NAME. A helper that does not know the registry gives nothing.
Result<Credentials> ask_helper(const std::string& helper, const std::string& registry) {
  const std::string program = "docker-credential-" + helper;
  if (!is_helper_name(helper)) return bad_input("a credential helper's name is not valid", helper);
  BUNDLE_TRY(const CommandResult result,
             run_command({.argv = {program, "get"}, .input = registry, .timeout = kHelperLimit}));
  if (result.exit_code != 0) {
    if (result.out.find("credentials not found") != std::string::npos) return Credentials();
    return failed("the credential helper failed", program,
                  "Run it by hand: echo " + registry + " | " + program + " get");
  }
  BUNDLE_TRY(const Json document, parse_json(result.out, program));
  BUNDLE_TRY(const std::string user, get_string(document, "Username", program));
  BUNDLE_TRY(const std::string secret, get_string(document, "Secret", program));
  if (user == "<token>") return Credentials{"", "", secret};
  return Credentials{user, secret, ""};
}

Result<Credentials> from_entry(const Json& entry, const std::string& where) {
  BUNDLE_TRY(const std::string token, get_string_or(entry, "identitytoken", "", where));
  if (!token.empty()) return Credentials{"", "", token};
  BUNDLE_TRY(const std::string auth, get_string_or(entry, "auth", "", where));
  if (auth.empty()) return Credentials();
  BUNDLE_TRY(const std::string plain, base64_decode(auth, where));
  const std::size_t colon = plain.find(':');
  if (colon == std::string::npos) return bad_input("an 'auth' has no user and password", where);
  return Credentials{plain.substr(0, colon), plain.substr(colon + 1), ""};
}

Result<Credentials> from_file(const Path& file, const std::string& registry) {
  BUNDLE_TRY(const Json config, read_json_file(file.string(), kMostConfigBytes));
  const std::string where = file.string();
  const Json* helpers = find(config, "credHelpers");
  const Json* auths = find(config, "auths");
  for (const std::string& key : keys_of(registry)) {
    if (helpers != nullptr && find(*helpers, key) != nullptr) {
      BUNDLE_TRY(const std::string helper, get_string(*helpers, key, where));
      return ask_helper(helper, key);
    }
  }
  for (const std::string& key : keys_of(registry)) {
    if (auths == nullptr || find(*auths, key) == nullptr) continue;
    BUNDLE_TRY(Credentials found, from_entry(*find(*auths, key), where));
    if (!found.empty()) return found;
  }
  BUNDLE_TRY(const std::string store, get_string_or(config, "credsStore", "", where));
  if (store.empty()) return Credentials();
  return ask_helper(store,
                    keys_of(registry).back() == "docker.io" ? std::string(kDockerHub) : registry);
}

}  // namespace

Result<Credentials> find_credentials(const std::string& registry, const Path& auth_file) {
  for (const Path& file : config_files(auth_file)) {
    std::error_code error;
    if (auth_file.empty() && !std::filesystem::exists(file, error)) continue;
    BUNDLE_TRY(Credentials found, from_file(file, registry));
    if (!found.empty()) return found;
  }
  return Credentials();
}

}  // namespace bundle::packager::registry
