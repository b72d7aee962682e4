#include "cloud/deployment_spec.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/text.h"

namespace bundle::cloud {
namespace {

JsonObject pairs_json(const TextPairs& pairs) {
  JsonObject object;
  for (const auto& [key, value] : pairs) object[key] = value;
  return object;
}

TextPairs read_pairs(const Json& value, std::string_view key) {
  TextPairs pairs;
  const Json* member = find(value, key);
  if (member == nullptr || !member->is_object()) return pairs;
  for (const auto& [name, text] : member->get_object()) {
    if (text.is_string()) pairs.emplace_back(name, text.get_string());
  }
  return pairs;
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

Json to_json(const Resources& resources) {
  return JsonObject{{"cpu", resources.cpu},   {"memory", resources.memory},
                    {"gpu", resources.gpu},   {"gpu_type", resources.gpu_type},
                    {"disk", resources.disk}, {"nodes", resources.nodes}};
}

Json to_json(const Scaling& scaling) {
  return JsonObject{{"min_replicas", scaling.min_replicas},
                    {"max_replicas", scaling.max_replicas},
                    {"target_concurrency", scaling.target_concurrency},
                    {"scale_up_delay_seconds", scaling.scale_up_delay_seconds},
                    {"scale_down_delay_seconds", scaling.scale_down_delay_seconds},
                    {"idle_seconds", scaling.idle_seconds},
                    {"ttft_ms", scaling.ttft_ms},
                    {"tpot_ms", scaling.tpot_ms}};
}

Json to_json(const UpdateRule& rule) {
  return JsonObject{{"strategy", rule.strategy},
                    {"ready_seconds", rule.ready_seconds},
                    {"read_mb_per_second", rule.read_mb_per_second}};
}

Json tls_json(const TlsFiles& tls) {
  return JsonObject{
      {"certificate", tls.certificate}, {"key", tls.key}, {"client_ca", tls.client_ca}};
}

Json to_json(const CanaryRole& role) {
  return JsonObject{
      {"of", role.of}, {"percent", role.percent}, {"phase", role.phase}, {"base", role.base}};
}

/// Whole numbers of one section; every one may be left out.
class Section {
 public:
  Section(const Json& document, std::string_view name, std::string_view where)
      : value_(find(document, name)), where_(where) {}

  Status whole(std::string_view key, int& into) const {
    std::int64_t number = into;
    BUNDLE_CHECK(whole(key, number));
    if (number < 0 || number > 1'000'000'000) {
      return bad_input("'" + std::string(key) + "' is out of range", std::string(where_));
    }
    into = static_cast<int>(number);
    return {};
  }
  Status whole(std::string_view key, std::int64_t& into) const {
    if (value_ == nullptr) return {};
    BUNDLE_TRY(into, get_int_or(*value_, key, into, where_));
    return {};
  }
  Status real(std::string_view key, double& into) const {
    if (value_ == nullptr) return {};
    BUNDLE_TRY(into, get_double_or(*value_, key, into, where_));
    return {};
  }
  Status text(std::string_view key, std::string& into) const {
    if (value_ == nullptr) return {};
    BUNDLE_TRY(into, get_string_or(*value_, key, into, where_));
    return {};
  }

 private:
  const Json* value_;
  std::string_view where_;
};

Status read_resources(const Section& section, Resources& resources) {
  BUNDLE_CHECK(section.real("cpu", resources.cpu));
  BUNDLE_CHECK(section.whole("memory", resources.memory));
  BUNDLE_CHECK(section.whole("gpu", resources.gpu));
  BUNDLE_CHECK(section.text("gpu_type", resources.gpu_type));
  BUNDLE_CHECK(section.whole("disk", resources.disk));
  return section.whole("nodes", resources.nodes);
}

Status read_scaling(const Section& section, Scaling& scaling) {
  BUNDLE_CHECK(section.whole("min_replicas", scaling.min_replicas));
  BUNDLE_CHECK(section.whole("max_replicas", scaling.max_replicas));
  BUNDLE_CHECK(section.whole("target_concurrency", scaling.target_concurrency));
  BUNDLE_CHECK(section.whole("scale_up_delay_seconds", scaling.scale_up_delay_seconds));
  BUNDLE_CHECK(section.whole("scale_down_delay_seconds", scaling.scale_down_delay_seconds));
  BUNDLE_CHECK(section.whole("idle_seconds", scaling.idle_seconds));
  BUNDLE_CHECK(section.whole("ttft_ms", scaling.ttft_ms));
  return section.whole("tpot_ms", scaling.tpot_ms);
}

Status read_update(const Section& section, UpdateRule& rule) {
  BUNDLE_CHECK(section.text("strategy", rule.strategy));
  BUNDLE_CHECK(section.whole("ready_seconds", rule.ready_seconds));
  return section.whole("read_mb_per_second", rule.read_mb_per_second);
}

Status read_canary(const Section& section, CanaryRole& role) {
  BUNDLE_CHECK(section.text("of", role.of));
  BUNDLE_CHECK(section.text("phase", role.phase));
  BUNDLE_CHECK(section.whole("base", role.base));
  return section.whole("percent", role.percent);
}

Status read_tls(const Section& section, TlsFiles& tls) {
  BUNDLE_CHECK(section.text("certificate", tls.certificate));
  BUNDLE_CHECK(section.text("key", tls.key));
  return section.text("client_ca", tls.client_ca);
}

Status check_tls(const TlsFiles& tls) {
  if (tls.certificate.empty() != tls.key.empty()) {
    return bad_input("'tls.certificate' and 'tls.key' need each other", "tls");
  }
  if (tls.on() || tls.client_ca.empty()) return {};
  return bad_input("'tls.client_ca' without 'tls.certificate'", "tls",
                   "Clients show certificates only to a server that has one.");
}

Status check_canary(const CanaryRole& role) {
  if (!role.is_on()) return {};
  if (!is_valid_deployment_name(role.of)) return bad_input("'canary.of' is no deployment's name");
  if (role.percent > 100) return bad_input("'canary.percent' is over 100");
  if (role.phase.empty() || role.phase == "promoting" || role.phase == "ending") return {};
  return bad_input("'canary.phase' is not known", "", "A newer bundle wrote it; use that one.");
}

// execve(2) takes no longer string; what holds the whole environment (a stack's quarter, an object
// of Kubernetes) takes no more than this either.
constexpr std::size_t kLongestVariable = (128u << 10) - 1;
constexpr std::size_t kMostVariableBytes = 1u << 20;

bool is_variable_name(std::string_view name) {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [&](char c) { return word(c) || c == '_'; });
}

Status check_variables(const TextPairs& variables, const char* section) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : variables) {
    const std::string field = std::string(section) + "." + replace_invalid_utf8(name);
    if (!is_variable_name(name)) {
      return bad_input("'" + field + "' is no name of an environment variable", "",
                       "Use letters, digits and '_', not beginning with a digit.");
    }
    if (value.find('\0') != std::string::npos || !is_valid_utf8(value)) {
      return bad_input("'" + field + "' holds a zero byte or is not UTF-8");
    }
    if (name.size() + 1 + value.size() > kLongestVariable) {
      return bad_input("'" + field + "' is longer than the 128 KiB that a process can be given");
    }
    bytes += name.size() + value.size() + 2;
  }
  if (bytes <= kMostVariableBytes) return {};
  return bad_input("'" + std::string(section) + "' is longer than 1 MiB in all");
}

std::string shortened(const Json& value) {
  std::string text = value.is_string() ? std::string(value.get_string()) : print_json(value);
  if (text.size() <= 80) return text;
  return text.substr(0, complete_utf8_prefix(std::string_view(text).substr(0, 77))) + "...";
}

void collect(const std::string& path, const Json* before, const Json* after,
             std::vector<Change>& changes) {
  if (before != nullptr && after != nullptr && *before == *after) return;
  const bool both = before != nullptr && after != nullptr;
  if (both && before->is_object() && after->is_object()) {
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const auto& [key, value] : after->get_object()) {
      collect(prefix + std::string(key), find(*before, key), &value, changes);
    }
    for (const auto& [key, value] : before->get_object()) {
      if (find(*after, key) == nullptr)
        collect(prefix + std::string(key), &value, nullptr, changes);
    }
    return;
  }
  changes.push_back({path, before == nullptr ? "" : shortened(*before),
                     after == nullptr ? "" : shortened(*after)});
}

}  // namespace

Json DeploymentSpec::to_json() const {
  JsonArray program;
  for (const std::string& word : server) program.emplace_back(word);
  JsonObject document{{"name", name},
                      {"target", target},
                      {"bundle", bundle},
                      {"digest", digest},
                      {"server", std::move(program)},
                      {"launch", launch},
                      {"host", host},
                      {"port", static_cast<std::int64_t>(port)},
                      {"admin_port", static_cast<std::int64_t>(admin_port)},
                      {"api_key_file", api_key_file},
                      {"tls", tls_json(tls)},
                      {"access_log", access_log},
                      {"drain_seconds", drain_seconds},
                      {"environment", pairs_json(environment)},
                      {"secrets", pairs_json(secrets)},
                      {"labels", pairs_json(labels)},
                      {"resources", cloud::to_json(resources)},
                      {"scaling", cloud::to_json(scaling)},
                      {"update", cloud::to_json(update)},
                      {"weight_bytes", static_cast<std::int64_t>(weight_bytes)},
                      {"settings", settings},
                      {"overrides", overrides}};
  // An ordinary deployment's form is what it was before there were canaries.
  if (canary.is_on()) document["canary"] = cloud::to_json(canary);
  return document;
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
  BUNDLE_TRY(const std::int64_t admin_port, get_int_or(value, "admin_port", 0, where));
  BUNDLE_TRY(spec.access_log, get_string_or(value, "access_log", "", where));
  BUNDLE_CHECK(read_tls(Section(value, "tls", where), spec.tls));
  for (const auto& [name, number] :
       {std::pair("port", port), std::pair("admin_port", admin_port)}) {
    if (number >= 0 && number <= 65535) continue;
    return bad_input("'" + std::string(name) + "' is out of range", std::string(where));
  }
  spec.port = static_cast<std::uint16_t>(port);
  spec.admin_port = static_cast<std::uint16_t>(admin_port);
  spec.drain_seconds = static_cast<int>(drain);
  const Json* launch = find(value, "launch");
  if (launch == nullptr || !launch->is_object()) {
    return bad_input("'launch' is missing", std::string(where));
  }
  spec.launch = launch->get_object();
  spec.environment = read_pairs(value, "environment");
  spec.secrets = read_pairs(value, "secrets");
  spec.labels = read_pairs(value, "labels");
  BUNDLE_CHECK(read_resources(Section(value, "resources", where), spec.resources));
  BUNDLE_CHECK(read_scaling(Section(value, "scaling", where), spec.scaling));
  BUNDLE_CHECK(read_update(Section(value, "update", where), spec.update));
  BUNDLE_TRY(const std::int64_t weights, get_int_or(value, "weight_bytes", 0, where));
  spec.weight_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, weights));
  if (const Json* settings = find(value, "settings"); settings != nullptr && settings->is_object())
    spec.settings = settings->get_object();
  if (const Json* set = find(value, "overrides"); set != nullptr && set->is_object())
    spec.overrides = set->get_object();
  BUNDLE_CHECK(read_canary(Section(value, "canary", where), spec.canary));
  return spec;
}

Status check(const DeploymentSpec& spec) {
  if (!is_valid_deployment_name(spec.name)) {
    return Error{ErrorCode::kUsage,
                 "'" + replace_invalid_utf8(spec.name) + "' is no name for a deployment", "",
                 "Use letters, digits, '.', '_' and '-', at most 63."};
  }
  if (spec.scaling.max_replicas < std::max(1, spec.scaling.min_replicas)) {
    return bad_input("'scaling.max_replicas' is less than 1 or than 'scaling.min_replicas'");
  }
  if (spec.resources.nodes < 1) return bad_input("'resources.nodes' is less than 1");
  BUNDLE_CHECK(check_canary(spec.canary));
  BUNDLE_CHECK(check_tls(spec.tls));
  BUNDLE_CHECK(check_variables(spec.environment, "env"));
  return check_variables(spec.secrets, "secrets");
}

bool same_server(const DeploymentSpec& one, const DeploymentSpec& other) {
  DeploymentSpec twin = other;
  twin.canary = one.canary;
  return one.to_json() == twin.to_json();
}

Status refuse_log_file(const DeploymentSpec& spec, const std::string& place) {
  if (spec.access_log.empty() || spec.access_log == "-") return {};
  return bad_input(place + " has no place for a file of accesses", "access_log",
                   "Set it to '-': accesses then stand in the server's log.");
}

bool is_valid_deployment_name(std::string_view name) {
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (name.empty() || name.size() > 63 || !alnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

std::vector<Change> differences(const Json& before, const Json& after) {
  std::vector<Change> changes;
  collect("", &before, &after, changes);
  return changes;
}

int ready_seconds(const DeploymentSpec& spec) {
  if (spec.update.ready_seconds > 0) return spec.update.ready_seconds;
  constexpr double kCarefulRate = 500;  // MB/s: a network file system or a single SATA disk
  constexpr double kMargin = 1.5;
  constexpr int kWarmUp = 60;
  const double rate =
      1e6 * (spec.update.read_mb_per_second > 0 ? spec.update.read_mb_per_second : kCarefulRate);
  return kWarmUp +
         static_cast<int>(std::ceil(kMargin * static_cast<double>(spec.weight_bytes) / rate));
}

}  // namespace bundle::cloud
