#include "cloud/systemd/units.h"

#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cloud/server_options.h"
#include "cloud/systemd/host_form.h"
#include "cloud/systemd/host_gpus.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr int kStopMargin = 30;  // beyond the drain, before systemd kills

void add_words(const TextPairs& variables, JsonArray& words) {
  for (const auto& [name, value] : variables) words.emplace_back(name + "=" + value);
}

JsonArray environment_words(const DeploymentSpec& spec) {
  JsonArray words;
  add_words(spec.environment, words);
  return words;
}

/// The deployment's own variables come last: systemd takes the last of two.
JsonArray unit_environment(const DeploymentSpec& spec, const UnitReplica& replica) {
  JsonArray words;
  add_words(gpu_environment(spec, replica.gpu), words);
  add_words(spec.environment, words);
  return words;
}

JsonArray words(std::initializer_list<std::string> list) {
  JsonArray array;
  for (const std::string& word : list) array.emplace_back(word);
  return array;
}

/// CDI's names of a replica's GPUs; all of them where it is the only one.
JsonArray gpu_devices(const DeploymentSpec& spec, const UnitReplica& replica) {
  if (spec.resources.gpu > 0 && spec.scaling.min_replicas <= 1) return words({"all"});
  JsonArray devices;
  for (int i = 0; i < spec.resources.gpu; ++i) {
    devices.emplace_back(std::to_string(replica.gpu + i));
  }
  return devices;
}

/// Counted as the API's: a host's second replica has the next.
std::uint16_t admin_port(const DeploymentSpec& spec, const UnitReplica& replica) {
  if (spec.admin_port == 0) return 0;
  return static_cast<std::uint16_t>(spec.admin_port + (replica.port - spec.port));
}

/// Starts in ten minutes that are no sign of trouble: those after a sleep, and a few failures.
int start_burst(const DeploymentSpec& spec) {
  const bool sleeps = spec.scaling.min_replicas == 0;
  return 5 + (sleeps ? 600 / std::max(1, spec.scaling.idle_seconds) : 0);
}

JsonArray server_command(const DeploymentSpec& spec, const UnitReplica& replica,
                         const std::string& root) {
  JsonArray command;
  for (const std::string& word : spec.server) command.emplace_back(word);
  for (Json& word : words({"--launch", launch_file(spec, root), "--host", spec.host, "--port",
                           std::to_string(replica.port)})) {
    command.push_back(std::move(word));
  }
  // Where LoadCredential= puts files (systemd.exec(5)); a specifier would be quoted away.
  const std::string credentials = "/run/credentials/" + unit_name(spec.name, replica.index);
  for (const std::string& word :
       server_options(spec, files_in(credentials, spec), admin_port(spec, replica))) {
    command.emplace_back(word);
  }
  if (spec.scaling.min_replicas == 0) {
    command.emplace_back("--idle-exit-seconds");
    command.emplace_back(std::to_string(spec.scaling.idle_seconds));
  }
  return command;
}

std::string listen_address(const DeploymentSpec& spec, std::uint16_t port) {
  const bool six = spec.host.find(':') != std::string::npos;
  return (six ? "[" + spec.host + "]" : spec.host) + ":" + std::to_string(port);
}

}  // namespace

std::string unit_name(std::string_view deployment, int index) {
  return "bundle-" + std::string(deployment) + "-" + std::to_string(index) + ".service";
}

std::string socket_name(std::string_view deployment, int index) {
  return "bundle-" + std::string(deployment) + "-" + std::to_string(index) + ".socket";
}

Result<std::string> service_unit(const DeploymentSpec& spec, const UnitReplica& replica,
                                 const std::string& root) {
  BUNDLE_CHECK(refuse_log_file(spec, "a unit"));
  return templates::render(
      "systemd/bundle.service",
      {{"name", spec.name},
       {"index", replica.index},
       {"command", server_command(spec, replica, root)},
       {"environment", unit_environment(spec, replica)},
       {"secrets_file", secrets_file(spec, root)},
       {"keys_file", spec.api_key_file},
       {"certificate_file", spec.tls.certificate},
       {"key_file", spec.tls.key},
       {"client_ca_file", spec.tls.client_ca},
       {"start_burst", start_burst(spec)},
       {"start_seconds", ready_seconds(spec)},
       {"stop_seconds", spec.drain_seconds + kStopMargin},
       {"gpu", spec.resources.gpu},
       {"memory_max", spec.resources.memory},
       {"cpu_percent", static_cast<std::int64_t>(std::ceil(spec.resources.cpu * 100))},
       {"socket", spec.scaling.min_replicas == 0}});
}

Result<std::string> socket_unit(const DeploymentSpec& spec, const UnitReplica& replica) {
  return templates::render("systemd/bundle.socket",
                           {{"name", spec.name},
                            {"index", replica.index},
                            {"listen", listen_address(spec, replica.port)},
                            {"service", unit_name(spec.name, replica.index)}});
}

/// Podman's generator puts words and variables into ExecStart= as they are, where systemd would
/// replace what follows a dollar.
JsonArray for_command_line(JsonArray words) {
  for (Json& word : words) {
    std::string doubled;
    for (const char c : std::string_view(word.as_string())) doubled.append(c == '$' ? 2 : 1, c);
    word = doubled;
  }
  return words;
}

Result<std::string> quadlet(const DeploymentSpec& spec, const UnitReplica& replica) {
  BUNDLE_CHECK(refuse_log_file(spec, "a container"));
  const std::uint16_t admin = admin_port(spec, replica);
  const std::string number = std::to_string(admin);
  JsonArray arguments = words({"--host", "0.0.0.0", "--port", std::to_string(replica.port)});
  for (const std::string& word : name_option(spec)) arguments.emplace_back(word);
  if (admin != 0) {
    for (Json& word : words({"--admin-host", "0.0.0.0"})) arguments.push_back(std::move(word));
  }
  for (const std::string& word : server_options(spec, files_in("/run/bundle", spec), admin)) {
    arguments.emplace_back(word);
  }
  JsonArray secrets;
  for (const auto& [name, unused] : spec.secrets) {
    secrets.emplace_back(name + ",type=env,target=" + name);
  }
  BUNDLE_TRY(const std::string image,
             get_string_or(spec.settings, "image", "localhost/" + spec.bundle, "settings"));
  return templates::render(
      "podman/bundle.container",
      {{"name", spec.name},
       {"index", replica.index},
       {"image", image},
       {"container", "bundle-" + spec.name + "-" + std::to_string(replica.index)},
       {"arguments", for_command_line(std::move(arguments))},
       {"keys_file", spec.api_key_file},
       {"certificate_file", spec.tls.certificate},
       {"key_file", spec.tls.key},
       {"client_ca_file", spec.tls.client_ca},
       {"admin_publish", admin == 0 ? "" : "127.0.0.1:" + number + ":" + number},
       {"environment", for_command_line(environment_words(spec))},
       {"secrets", std::move(secrets)},
       {"publish", listen_address(spec, replica.port) + ":" + std::to_string(replica.port)},
       {"start_seconds", ready_seconds(spec)},
       {"stop_seconds", spec.drain_seconds},
       {"stop_margin_seconds", spec.drain_seconds + kStopMargin},
       {"gpus", gpu_devices(spec, replica)},
       {"shm_size", spec.resources.gpu > 1 ? "16g" : ""}});
}

}  // namespace bundle::cloud
