#include "cli/kubeconfig.h"

#include <cstdlib>
#include <sys/stat.h>

#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/command.h"
#include "base/file.h"
#include "base/sha256.h"
#include "packager/yaml.h"

namespace bundle::cli {
namespace {

using packager::YamlNode;

constexpr std::uint64_t kMostBytes = 4u << 20;

/// The member of a map, or null.
const YamlNode* member(const YamlNode* node, std::string_view key) {
  if (node == nullptr) return nullptr;
  for (const auto& one : node->members) {
    if (one.key.text == key) return &one.value;
  }
  return nullptr;
}

std::string text(const YamlNode* node, std::string_view key) {
  const YamlNode* value = member(node, key);
  return value == nullptr ? "" : value->text;
}

/// The entry of "clusters", "contexts" or "users" with that name, below its kind's own key.
const YamlNode* entry(const YamlNode& root, std::string_view list, std::string_view kind,
                      std::string_view name) {
  const YamlNode* entries = member(&root, list);
  if (entries == nullptr) return nullptr;
  for (const YamlNode& one : entries->items) {
    if (text(&one, "name") == name) return member(&one, kind);
  }
  return nullptr;
}

Path config_path(const JsonObject& settings) {
  if (const Json* given = settings.if_contains("kubeconfig"); given && given->is_string()) {
    return std::string(given->get_string());
  }
  if (const char* variable = std::getenv("KUBECONFIG"); variable != nullptr && *variable != '\0') {
    const std::string_view all(variable);
    return std::string(all.substr(0, all.find(':')));
  }
  const char* home = std::getenv("HOME");
  return Path(home == nullptr ? "" : home) / ".kube" / "config";
}

/// A private file with these bytes; the same bytes give the same file.
Result<std::string> private_file(std::string_view bytes) {
  const Path folder = bundle_home() / "run";
  BUNDLE_CHECK(make_directories(folder));
  ::chmod(folder.c_str(), 0700);
  const Path path = folder / ("pem-" + sha256_hex(bytes).substr(0, 16));
  BUNDLE_CHECK(write_file_atomic(path, bytes));
  ::chmod(path.c_str(), 0600);
  return path.string();
}

/// A file that is named beside the kubeconfig, or held in it as `key`-data.
Result<std::string> file_of(const YamlNode* node, const std::string& key, const Path& folder) {
  if (const std::string data = text(node, key + "-data"); !data.empty()) {
    BUNDLE_TRY(const std::string bytes, base64_decode(data, "kubeconfig, " + key + "-data"));
    return private_file(bytes);
  }
  const std::string path = text(node, key);
  return path.empty() ? "" : (folder / path).lexically_normal().string();
}

/// Runs the plugin that gets credentials, as the file's `exec` section says.
Status run_plugin(const YamlNode& plugin, JsonObject& access) {
  Command command;
  command.argv.push_back(text(&plugin, "command"));
  if (const YamlNode* arguments = member(&plugin, "args")) {
    for (const YamlNode& one : arguments->items) command.argv.push_back(one.text);
  }
  if (const YamlNode* variables = member(&plugin, "env")) {
    for (const YamlNode& one : variables->items) {
      command.environment.emplace_back(text(&one, "name"), text(&one, "value"));
    }
  }
  command.environment.emplace_back("KUBERNETES_EXEC_INFO",
                                   R"({"kind":"ExecCredential","apiVersion":")" +
                                       text(&plugin, "apiVersion") +
                                       R"(","spec":{"interactive":false}})");
  command.timeout = std::chrono::seconds(60);
  BUNDLE_TRY(const CommandResult result, run_command(command));
  if (result.exit_code != 0) {
    return Error{ErrorCode::kUnreachable,
                 "'" + command.argv.front() + "' gave no credentials: " + result.err};
  }
  BUNDLE_TRY(const Json answer, parse_json(result.out, command.argv.front()));
  const Json* status = find(answer, "status");
  if (status == nullptr)
    return bad_input("the plugin's answer has no status", command.argv.front());
  BUNDLE_TRY(access["token"], get_string_or(*status, "token", "", command.argv.front()));
  BUNDLE_TRY(const std::string certificate,
             get_string_or(*status, "clientCertificateData", "", command.argv.front()));
  if (certificate.empty()) return {};
  BUNDLE_TRY(const std::string key, get_string(*status, "clientKeyData", command.argv.front()));
  BUNDLE_TRY(access["cert_file"], private_file(certificate));
  BUNDLE_TRY(access["key_file"], private_file(key));
  return {};
}

Status read_user(const YamlNode* user, const Path& folder, JsonObject& access) {
  std::string token = text(user, "token");
  if (const std::string file = text(user, "tokenFile"); !file.empty()) {
    BUNDLE_TRY(token, read_file(folder / file, kMostBytes));
    while (!token.empty() && token.back() == '\n') token.pop_back();
  }
  access["token"] = token;
  BUNDLE_TRY(access["cert_file"], file_of(user, "client-certificate", folder));
  BUNDLE_TRY(access["key_file"], file_of(user, "client-key", folder));
  const YamlNode* plugin = member(user, "exec");
  return plugin == nullptr ? Status() : run_plugin(*plugin, access);
}

/// Inside a pod: the API server by its variables, as who the pod's service account is. Empty
/// elsewhere.
Result<JsonObject> access_of_pod() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  const Path account = "/var/run/secrets/kubernetes.io/serviceaccount";
  if (host == nullptr || port == nullptr || !std::filesystem::exists(account / "token")) {
    return JsonObject();
  }
  BUNDLE_TRY(std::string token, read_file(account / "token", kMostBytes));
  while (!token.empty() && token.back() == '\n') token.pop_back();
  const std::string name = host;
  const std::string bracketed = name.find(':') == std::string::npos ? name : "[" + name + "]";
  return JsonObject{{"server", "https://" + bracketed + ":" + port},
                    {"token", token},
                    {"ca_file", (account / "ca.crt").string()}};
}

}  // namespace

Result<JsonObject> cluster_access(const JsonObject& settings) {
  const Path path = config_path(settings);
  if (!std::filesystem::exists(path)) {
    if (settings.if_contains("kubeconfig") == nullptr) return access_of_pod();
    return not_found("there is no kubeconfig", path.string());
  }
  BUNDLE_TRY(const std::string document, read_file(path, kMostBytes));
  BUNDLE_TRY(const YamlNode root, packager::parse_yaml(document, path.string()));
  std::string name = text(&root, "current-context");
  if (const Json* given = settings.if_contains("context"); given && given->is_string()) {
    name = std::string(given->get_string());
  }
  const YamlNode* context = entry(root, "contexts", "context", name);
  if (context == nullptr) {
    return not_found("the kubeconfig has no context '" + name + "'", path.string(),
                     "'kubectl config get-contexts' lists them.");
  }
  const YamlNode* cluster = entry(root, "clusters", "cluster", text(context, "cluster"));
  if (cluster == nullptr || text(cluster, "server").empty()) {
    return bad_input("the context '" + name + "' names no cluster", path.string());
  }
  JsonObject access;
  std::string server = text(cluster, "server");
  while (server.ends_with('/')) server.pop_back();
  access["server"] = server;
  access["insecure"] = text(cluster, "insecure-skip-tls-verify") == "true";
  BUNDLE_TRY(access["ca_file"], file_of(cluster, "certificate-authority", path.parent_path()));
  BUNDLE_CHECK(
      read_user(entry(root, "users", "user", text(context, "user")), path.parent_path(), access));
  return access;
}

}  // namespace bundle::cli
