#include "cloud/provider.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "cloud/local/local_provider.h"

namespace bundle::cloud {
namespace {

struct Target {
  const char* name;
  std::unique_ptr<Provider> (*make)();
};

/// A new target is a folder and a line.
constexpr Target kTargets[] = {{"local", make_local_provider}};

std::string target_names() {
  std::string names;
  for (const Target& target : kTargets) {
    if (!names.empty()) names += ", ";
    names += target.name;
  }
  return names;
}

JsonArray strings(const std::vector<std::string>& values) {
  JsonArray array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

Result<std::vector<std::string>> read_strings(const Json& value, std::string_view key,
                                              std::string_view where) {
  std::vector<std::string> list;
  const Json* member = find(value, key);
  if (member == nullptr || !member->is_array()) {
    return bad_input("'" + std::string(key) + "' is not a list", std::string(where));
  }
  for (const Json& item : member->get_array()) {
    if (!item.is_string())
      return bad_input("'" + std::string(key) + "' holds no string", std::string(where));
    list.emplace_back(item.get_string());
  }
  return list;
}

}  // namespace

Json DeploymentSpec::to_json() const {
  JsonObject variables;
  for (const auto& [key, value] : environment) variables[key] = value;
  return JsonObject{{"name", name},
                    {"target", target},
                    {"bundle", bundle},
                    {"digest", digest},
                    {"server", strings(server)},
                    {"launch", launch},
                    {"host", host},
                    {"port", port},
                    {"api_key_file", api_key_file},
                    {"drain_seconds", drain_seconds},
                    {"environment", std::move(variables)}};
}

Result<DeploymentSpec> DeploymentSpec::from_json(const Json& value, std::string_view where) {
  DeploymentSpec spec;
  BUNDLE_TRY(spec.name, get_string(value, "name", where));
  BUNDLE_TRY(spec.target, get_string(value, "target", where));
  BUNDLE_TRY(spec.bundle, get_string(value, "bundle", where));
  BUNDLE_TRY(spec.digest, get_string(value, "digest", where));
  BUNDLE_TRY(spec.server, read_strings(value, "server", where));
  BUNDLE_TRY(spec.host, get_string(value, "host", where));
  BUNDLE_TRY(const std::int64_t port, get_int(value, "port", where));
  BUNDLE_TRY(const std::int64_t drain, get_int(value, "drain_seconds", where));
  BUNDLE_TRY(spec.api_key_file, get_string(value, "api_key_file", where));
  if (port < 0 || port > 65535) return bad_input("'port' is out of range", std::string(where));
  spec.port = static_cast<std::uint16_t>(port);
  spec.drain_seconds = static_cast<int>(drain);
  const Json* launch = find(value, "launch");
  if (launch == nullptr || !launch->is_object()) {
    return bad_input("'launch' is missing", std::string(where));
  }
  spec.launch = launch->get_object();
  if (const Json* variables = find(value, "environment");
      variables != nullptr && variables->is_object()) {
    for (const auto& [key, text] : variables->get_object()) {
      if (text.is_string()) spec.environment.emplace_back(key, text.get_string());
    }
  }
  return spec;
}

Json to_json(const DeploymentPlan& plan) {
  return JsonObject{{"deployment", plan.deployment},
                    {"revision", plan.revision},
                    {"changes", plan.changes},
                    {"steps", strings(plan.steps)}};
}

Json to_json(const DeploymentStatus& status) {
  JsonArray revisions;
  for (const std::int64_t revision : status.revisions) revisions.emplace_back(revision);
  return JsonObject{{"name", status.name},         {"target", status.target},
                    {"state", status.state},       {"ready", status.ready},
                    {"url", status.url},           {"bundle", status.bundle},
                    {"digest", status.digest},     {"model", status.model},
                    {"revision", status.revision}, {"revisions", std::move(revisions)},
                    {"pid", status.pid},           {"uptime_seconds", status.uptime_seconds},
                    {"message", status.message}};
}

Result<std::unique_ptr<Provider>> make_provider(std::string_view target) {
  for (const Target& known : kTargets) {
    if (known.name == target) return known.make();
  }
  return Error{ErrorCode::kUsage, "there is no target '" + std::string(target) + "' yet", "",
               "Targets: " + target_names() + "."};
}

bool is_valid_deployment_name(std::string_view name) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (name.empty() || name.size() > 63 || !alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace bundle::cloud
