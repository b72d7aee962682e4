#include "cloud/slurm/job.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cloud/server_options.h"
#include "cloud/systemd/host_form.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr std::uint16_t kFirstPort = 18000;
constexpr std::uint16_t kFirstAdminPort = 19000;
constexpr int kWarningMargin = 60;  // for the requeue, beyond the drain

std::string text(const JsonObject& settings, std::string_view key) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::string file_of(const std::string& root, std::string_view deployment, const char* kind,
                    int index) {
  return deployment_folder(root, deployment) + "/" + kind + "-" + std::to_string(index);
}

JsonArray command_of(const DeploymentSpec& spec, const std::string& root) {
  JsonArray words;
  for (const std::string& word : spec.server) words.emplace_back(word);
  const std::string host = spec.host == "127.0.0.1" ? "0.0.0.0" : spec.host;
  for (const std::string& word :
       {std::string("--launch"), launch_file(spec, root), std::string("--host"), host}) {
    words.emplace_back(word);
  }
  // The script chooses the ports.
  for (const std::string& word : server_options(spec, {spec.api_key_file, spec.tls}, 0)) {
    words.emplace_back(word);
  }
  return words;
}

JsonArray variables_of(const DeploymentSpec& spec) {
  JsonArray words;
  for (const auto& [name, value] : spec.environment) words.emplace_back(name + "=" + value);
  return words;
}

std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == '|') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

}  // namespace

std::string job_name(std::string_view deployment, int index) {
  return "bundle-" + std::string(deployment) + "-" + std::to_string(index);
}

std::string script_file(const std::string& root, std::string_view deployment, int index) {
  return file_of(root, deployment, "job", index) + ".sh";
}
std::string endpoint_file(const std::string& root, std::string_view deployment, int index) {
  return file_of(root, deployment, "endpoint", index);
}
std::string job_log(const std::string& root, std::string_view deployment, int index) {
  return file_of(root, deployment, "log", index);
}
std::string group_token_file(const std::string& root, std::string_view deployment, int index) {
  return file_of(root, deployment, "group-token", index);
}
std::string stop_mark(const std::string& root, std::string_view deployment, int index) {
  return file_of(root, deployment, "stop", index);
}

Result<std::string> job_script(const DeploymentSpec& spec, int index, std::int64_t revision,
                               const std::string& root) {
  const JsonObject& settings = spec.settings;
  BUNDLE_TRY(const std::int64_t minutes, get_int_or(settings, "time_minutes", 0, "slurm"));
  // With TLS readiness is asked on the admin port: the script has no certificate to show.
  const std::uint16_t admin =
      spec.admin_port == 0 && spec.tls.on() ? kFirstAdminPort : spec.admin_port;
  BUNDLE_TRY(const bool exclusive, get_bool_or(settings, "exclusive", false, "slurm"));
  return templates::render("slurm/replica.sh",
                           {{"job", job_name(spec.name, index)},
                            {"comment", "bundle-revision-" + std::to_string(revision)},
                            {"nodes", spec.resources.nodes},
                            {"group", spec.resources.nodes > 1},
                            {"log", job_log(root, spec.name, index)},
                            {"warning_seconds", spec.drain_seconds + kWarningMargin},
                            {"cpus", static_cast<std::int64_t>(std::ceil(spec.resources.cpu))},
                            {"memory_mb", (spec.resources.memory + (1 << 20) - 1) >> 20},
                            {"gpu", spec.resources.gpu},
                            {"exclusive", exclusive},
                            {"time_minutes", minutes},
                            {"partition", text(settings, "partition")},
                            {"account", text(settings, "account")},
                            {"qos", text(settings, "qos")},
                            {"constraint", text(settings, "constraint")},
                            {"reservation", text(settings, "reservation")},
                            {"endpoint", endpoint_file(root, spec.name, index)},
                            {"stop_mark", stop_mark(root, spec.name, index)},
                            {"group_token", group_token_file(root, spec.name, index)},
                            {"command", command_of(spec, root)},
                            {"environment", variables_of(spec)},
                            {"secrets_file", secrets_file(spec, root)},
                            {"scheme", scheme_of(spec)},
                            {"admin_port", admin},
                            {"port", spec.port == 0 ? kFirstPort : spec.port}});
}

std::vector<Job> parse_jobs(std::string_view lines, std::string_view deployment) {
  constexpr std::string_view kComment = "bundle-revision-";
  std::vector<Job> jobs;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const auto fields = fields_of(line);
    if (fields.size() < 6) continue;
    Job job{fields[0], fields[1], fields[2], fields[3], fields[4], 0};
    const std::string prefix = "bundle-" + std::string(deployment) + "-";
    const std::string index = job.name.starts_with(prefix) ? job.name.substr(prefix.size()) : "";
    const bool own = !index.empty() && index.find_first_not_of("0123456789") == std::string::npos;
    if (!own || !fields[5].starts_with(kComment)) continue;
    const std::string number = fields[5].substr(kComment.size());
    std::from_chars(number.data(), number.data() + number.size(), job.revision);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Result<std::vector<Job>> queued_jobs(const Host& host, std::string_view deployment) {
  const auto lines = run_checked(host, {"squeue", "--noheader", "--format=%i|%j|%T|%N|%r|%k"});
  if (lines) return parse_jobs(*lines, deployment);
  Error error = lines.error();
  if (error.code == ErrorCode::kFailed) {
    error.code = ErrorCode::kUnreachable;
    error.remedy += std::string(error.remedy.empty() ? "" : "\n") +
                    "Does 'scontrol ping' say there that the controller is up?";
  }
  return error;
}

}  // namespace bundle::cloud
