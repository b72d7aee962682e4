#include "cloud/skypilot/skypilot_provider.h"

#include <algorithm>
#include <regex>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cloud/render_only.h"
#include "cloud/server_options.h"
#include "cloud/systemd/host_form.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr char kRoot[] = "/tmp/bundle";

std::string text(const JsonObject& settings, std::string_view key) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

Status check_settings(const DeploymentSpec& spec) {
  static const std::regex source_form("[a-z0-9]+://[A-Za-z0-9][A-Za-z0-9/_.-]*");
  static const std::regex name_form("[a-z]([a-z0-9-]*[a-z0-9])?");
  if (!std::regex_match(text(spec.settings, "source"), source_form)) {
    return bad_input("'skypilot.source' is no address of a bucket's folder", "skypilot.source",
                     "Write s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.");
  }
  if (!std::regex_match(spec.name, name_form)) {
    return bad_input("'" + spec.name + "' is no name of a SkyPilot service", "name",
                     "Use lower-case letters, digits and '-', beginning with a letter.");
  }
  if (spec.tls.on()) {
    return bad_input("SkyPilot's load balancer speaks to replicas without TLS", "tls",
                     "Let SkyPilot's own endpoint have the certificate.");
  }
  if (!spec.api_key_file.empty()) {
    return bad_input("a key file has no place in a task", "api_key_file",
                     "Let SkyPilot's own access control guard the endpoint.");
  }
  return {};
}

Result<std::string> run_script(const DeploymentSpec& spec) {
  JsonArray command;
  for (const std::string& word : spec.server) command.emplace_back(word);
  for (const std::string& word :
       {std::string("--launch"), launch_file(spec, kRoot), std::string("--host"),
        std::string("0.0.0.0"), std::string("--port"), std::string("8000")}) {
    command.emplace_back(word);
  }
  for (const std::string& word : server_options(spec, {}, spec.admin_port)) {
    command.emplace_back(word);
  }
  return templates::render("skypilot/run.sh", {{"command", std::move(command)}});
}

JsonObject names_of(const TextPairs& pairs, bool values) {
  JsonObject object;
  for (const auto& [name, value] : pairs) object[name] = values ? Json(value) : Json(nullptr);
  return object;
}

/// "H200:8", or "" for a replica without GPUs.
std::string accelerators(const DeploymentSpec& spec) {
  const std::string asked = text(spec.settings, "accelerators");
  if (!asked.empty() || spec.resources.gpu == 0 || spec.resources.gpu_type.empty()) return asked;
  return spec.resources.gpu_type + ":" + std::to_string(spec.resources.gpu);
}

Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) {
  BUNDLE_CHECK(check_settings(spec));
  const JsonObject& settings = spec.settings;
  BUNDLE_TRY(const HostForm form, host_form(spec, kRoot));
  BUNDLE_TRY(std::string script, run_script(form.spec));
  BUNDLE_TRY(const bool spot, get_bool_or(settings, "spot", false, "skypilot"));
  BUNDLE_TRY(const std::int64_t base, get_int_or(settings, "on_demand_base", 0, "skypilot"));
  BUNDLE_TRY(const double rate, get_double_or(settings, "target_rate", 1, "skypilot"));
  const double disk = 1.2 * static_cast<double>(spec.weight_bytes) / 1e9;
  BUNDLE_TRY(std::string yaml,
             templates::render(
                 "skypilot/service.yaml",
                 {{"name", spec.name},
                  {"start_seconds", ready_seconds(spec)},
                  {"min_replicas", spec.scaling.min_replicas},
                  {"max_replicas", spec.scaling.max_replicas},
                  {"automatic", spec.scaling.is_automatic()},
                  {"target_rate", rate},
                  {"up_seconds", std::max(20, spec.scaling.scale_up_delay_seconds)},
                  {"down_seconds", spec.scaling.scale_down_delay_seconds},
                  {"spot", spot},
                  {"on_demand_base", base},
                  {"infra", text(settings, "infra")},
                  {"accelerators", accelerators(spec)},
                  {"cpus", static_cast<std::int64_t>(spec.resources.cpu)},
                  {"memory", spec.resources.memory >> 30},
                  {"disk_gb", std::max<std::int64_t>(100, static_cast<std::int64_t>(disk) + 50)},
                  {"nodes", spec.resources.nodes},
                  {"source", text(settings, "source")},
                  {"environment", names_of(spec.environment, true)},
                  {"secrets", names_of(spec.secrets, false)},
                  {"run", script}}));
  std::vector<RenderedFile> files{{"service.yaml", std::move(yaml)}};
  std::string tree;
  for (const auto& [file, there] : form.files) {
    tree += file.path + "\t" + there.substr(sizeof kRoot) + "\n";
  }
  files.push_back({"tree.tsv", std::move(tree)});
  for (const HostText& small : form.texts) {
    if (small.mode == "0600") continue;  // secrets reach the task by --secret
    files.push_back({"tree/" + small.path.substr(sizeof kRoot), small.text});
  }
  return files;
}

}  // namespace

std::unique_ptr<Provider> make_skypilot_provider(const JsonObject&) {
  return make_render_only("skypilot",
                          "Add --render DIR, copy the files of DIR/tree.tsv and DIR/tree to "
                          "skypilot.source, then: sky serve up DIR/service.yaml -n NAME.",
                          render);
}

}  // namespace bundle::cloud
