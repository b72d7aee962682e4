#include "cli/deployment_request.h"

#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cli/check_servable.h"
#include "cli/gpu_names.h"
#include "cli/server_command.h"

namespace bundle::cli {
namespace {

constexpr char kWhere[] = "deployment";

JsonObject section(const JsonObject& document, std::string_view name) {
  const Json* value = document.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : JsonObject();
}

Result<std::string> text(const JsonObject& document, std::string_view key,
                         std::string fallback = {}) {
  return get_string_or(document, key, std::move(fallback), kWhere);
}

Result<int> whole(const JsonObject& document, std::string_view key, int fallback) {
  BUNDLE_TRY(const std::int64_t value, get_int_or(document, key, fallback, kWhere));
  return static_cast<int>(value);
}

cloud::TextPairs pairs(const JsonObject& object) {
  cloud::TextPairs all;
  for (const auto& [name, value] : object) {
    if (value.is_string()) all.emplace_back(name, value.get_string());
  }
  return all;
}

/// The document with what the bundle says of itself beneath it, and --set above it.
JsonObject with_defaults(const JsonObject& document, const ServerCommand& command) {
  JsonObject all = document;
  for (const char* name : {"resources", "scaling", "env"})
    all[name] = section(command.settings, name);
  if (const Json* replicas = document.if_contains("replicas")) {
    JsonObject scaling = section(all, "scaling");
    scaling["min_replicas"] = *replicas;
    scaling["max_replicas"] = std::max<std::int64_t>(1, replicas->to_number<std::int64_t>());
    all["scaling"] = std::move(scaling);
  }
  return all;
}

Status check_secrets(const ServerCommand& command, const cloud::DeploymentSpec& spec) {
  const Json* wanted = command.settings.if_contains("secrets");
  if (wanted == nullptr || !wanted->is_array()) return {};
  std::set<std::string> supplied;
  for (const auto& [name, unused] : spec.secrets) supplied.insert(name);
  for (const Json& name : wanted->get_array()) {
    if (!name.is_string() || supplied.count(std::string(name.get_string())) == 1) continue;
    const std::string missing(name.get_string());
    return bad_input("the bundle asks for the secret '" + missing + "'", kWhere,
                     "Supply it: --secret " + missing + "=FILE.");
  }
  return {};
}

std::uint64_t weight_bytes(const launch::LaunchSpec& launch) {
  std::uint64_t bytes = 0;
  const Json document = launch.to_json();
  const Json* model = find(document, "model");
  if (model == nullptr || !model->is_array()) return 0;
  for (const Json& file : model->get_array()) {
    const auto length = get_int_or(file, "length", 0, kWhere);
    if (length) bytes += static_cast<std::uint64_t>(*length);
  }
  return bytes;
}

/// The scaling of a document that sets only one bound keeps the bounds in order.
void order_bounds(cloud::Scaling& scaling, const JsonObject& given) {
  if (given.if_contains("max_replicas") == nullptr) {
    scaling.max_replicas = std::max(scaling.max_replicas, scaling.min_replicas);
  }
}

Status name_gpu(cloud::DeploymentSpec& spec) {
  if (spec.resources.gpu_type.empty()) return {};
  BUNDLE_TRY(const catalog::Catalog catalog, catalog::Catalog::open());
  spec.resources.gpu_type = gpu_type_on(spec.target, spec.resources.gpu_type, catalog);
  return {};
}

/// A bundle's other sections were read into the deployment when it was made.
Status check_runtime_alone(const std::vector<std::string>& settings) {
  for (const std::string& assignment : settings) {
    const std::string key = assignment.substr(0, assignment.find('='));
    for (const char* section : {"resources", "scaling", "env"}) {
      if (key != section && !key.starts_with(std::string(section) + ".")) continue;
      return Error{ErrorCode::kUsage, "an update sets keys of the runtime alone", "--set " + key,
                   "Change deployment.yaml and run 'bundle deploy' again; 'bundle scale' changes "
                   "the number of replicas."};
    }
  }
  return {};
}

void take_bundle(const ServerCommand& command, cloud::DeploymentSpec& spec) {
  spec.bundle = command.bundle;
  spec.digest = command.digest;
  spec.server = command.program;
  spec.launch = command.launch.to_json().get_object();
  spec.overrides = command.overrides;
  spec.weight_bytes = weight_bytes(command.launch);
}

}  // namespace

void merge(JsonObject& into, const JsonObject& from) {
  for (const auto& [key, value] : from) {
    Json* present = into.if_contains(key);
    if (present != nullptr && present->is_object() && value.is_object()) {
      merge(present->get_object(), value.get_object());
    } else {
      into[key] = value;
    }
  }
}

Result<cloud::DeploymentSpec> deployment_spec(const JsonObject& document,
                                              const std::vector<std::string>& settings) {
  BUNDLE_TRY(const std::string reference, text(document, "bundle"));
  if (reference.empty()) {
    return Error{ErrorCode::kUsage, "no bundle is named", "",
                 "Name one: bundle deploy REF --name NAME --target local."};
  }
  JsonObject overrides;
  for (const char* name : {"runtime", "resources", "scaling", "env"}) {
    if (document.if_contains(name) != nullptr) overrides[name] = section(document, name);
  }
  BUNDLE_TRY(const ServerCommand command, server_command(reference, overrides, settings));
  BUNDLE_CHECK(check_settings(command.launch.model, command.launch.runtime));
  const JsonObject all = with_defaults(document, command);
  // The typed fields are read from the document's own JSON form, which keeps one reader.
  cloud::DeploymentSpec spec;
  BUNDLE_TRY(std::string target, text(all, "target", "local"));
  JsonObject form = spec.to_json().get_object();
  for (const char* name : {"resources", "scaling", "update", "tls"}) {
    form[name] = section(all, name);
  }
  BUNDLE_TRY(spec, cloud::DeploymentSpec::from_json(form, kWhere));
  order_bounds(spec.scaling, section(all, "scaling"));
  spec.target = std::move(target);
  BUNDLE_CHECK(name_gpu(spec));
  BUNDLE_TRY(spec.name, text(all, "name", command.launch.name));
  BUNDLE_TRY(spec.host, text(all, "host", "127.0.0.1"));
  BUNDLE_TRY(const int port, whole(all, "port", 0));
  spec.port = static_cast<std::uint16_t>(port);
  BUNDLE_TRY(const int admin_port, whole(all, "admin_port", 0));
  spec.admin_port = static_cast<std::uint16_t>(admin_port);
  BUNDLE_TRY(spec.access_log, text(all, "access_log"));
  BUNDLE_TRY(spec.drain_seconds, whole(all, "drain_seconds", 30));
  BUNDLE_TRY(spec.api_key_file, text(all, "api_key_file"));
  spec.environment = pairs(section(all, "env"));
  spec.secrets = pairs(section(all, "secrets"));
  spec.labels = pairs(section(all, "labels"));
  spec.settings = section(all, spec.target == "terraform" ? "aws" : spec.target);
  take_bundle(command, spec);
  BUNDLE_CHECK(check_secrets(command, spec));
  return spec;
}

Result<cloud::DeploymentSpec> with_bundle(const cloud::DeploymentSpec& present,
                                          const std::string& reference,
                                          const std::vector<std::string>& settings) {
  BUNDLE_CHECK(check_runtime_alone(settings));
  JsonObject overrides;
  if (!present.overrides.empty()) overrides["runtime"] = present.overrides;
  BUNDLE_TRY(const ServerCommand command,
             server_command(reference.empty() ? present.bundle : reference, overrides, settings));
  BUNDLE_CHECK(check_settings(command.launch.model, command.launch.runtime));
  cloud::DeploymentSpec spec = present;
  take_bundle(command, spec);
  return spec;
}

}  // namespace bundle::cli
