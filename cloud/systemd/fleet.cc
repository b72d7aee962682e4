#include "cloud/systemd/fleet.h"

#include <algorithm>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/text.h"

namespace bundle::cloud {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (!line.empty()) lines.emplace_back(line);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return lines;
}

std::vector<std::pair<std::string, std::uint64_t>> wanted(const HostForm& form) {
  std::vector<std::pair<std::string, std::uint64_t>> paths;
  for (const auto& [file, path] : form.files) paths.emplace_back(path, file.size);
  return paths;
}

Result<std::vector<std::string>> deployments_of(const Host& host, const std::string& root) {
  BUNDLE_TRY(const std::string text,
             run_script(host,
                        "for f in \"$1\"/deployments/*/state.json; do [ -e \"$f\" ] && "
                        "basename -- \"$(dirname -- \"$f\")\"; done; true",
                        {root}));
  return lines_of(text);
}

Result<std::optional<History>> history_of(const Host& host, const std::string& root,
                                          std::string_view deployment) {
  const std::string path = state_file(root, deployment);
  BUNDLE_TRY(const auto text, read_text(host, path));
  if (!text) return std::optional<History>();
  BUNDLE_TRY(const Json document, parse_json(*text, host.name() + ":" + path));
  BUNDLE_TRY(History history, History::from_json(document, host.name() + ":" + path));
  return std::optional(std::move(history));
}

}  // namespace

Result<Fleet> Fleet::local(const JsonObject& settings) {
  Fleet fleet;
  BUNDLE_TRY(fleet.root_, get_string_or(settings, "root", "/var/lib/bundle", "systemd"));
  BUNDLE_TRY(fleet.units_, get_string_or(settings, "units", "/etc/systemd/system", "systemd"));
  fleet.hosts_.push_back(local_host());
  return fleet;
}

Result<Fleet> Fleet::over_ssh(const JsonObject& settings) {
  BUNDLE_TRY(Fleet fleet, local(settings));
  fleet.hosts_.clear();
  SshOptions options;
  BUNDLE_TRY(options.key_file, get_string_or(settings, "key_file", "", "ssh"));
  BUNDLE_TRY(options.config_file, get_string_or(settings, "config_file", "", "ssh"));
  const Json* hosts = settings.if_contains("hosts");
  if (hosts == nullptr || !hosts->is_array() || hosts->get_array().empty()) {
    return Error{ErrorCode::kUsage, "the target 'ssh' has no hosts", "",
                 "Name them: --on USER@HOST, or in deployment.yaml: ssh: {hosts: [USER@HOST]}."};
  }
  for (const Json& address : hosts->get_array()) {
    if (!address.is_string()) return bad_input("'ssh.hosts' holds no text");
    BUNDLE_TRY(auto host, ssh_host(std::string(address.get_string()), options));
    fleet.hosts_.push_back(std::move(host));
  }
  return fleet;
}

Result<std::optional<History>> Fleet::find_history(std::string_view deployment) const {
  std::optional<History> newest;
  if (!is_valid_deployment_name(deployment)) return newest;
  for (const auto& host : hosts_) {
    BUNDLE_TRY(auto one, history_of(*host, root_, deployment));
    const bool newer = one && (!newest || one->number() > newest->number());
    if (newer) newest = std::move(one);
  }
  return newest;
}

Result<History> Fleet::history(std::string_view deployment) const {
  BUNDLE_TRY(auto found, find_history(deployment));
  if (found) return *std::move(found);
  BUNDLE_TRY(const auto names, deployments());
  const std::string near = nearest(deployment, names);
  return not_found("there is no deployment '" + std::string(deployment) + "'",
                   hosts_.front()->name() + ":" + root_,
                   near.empty() ? "'bundle status' lists them." : "Did you mean '" + near + "'?");
}

Status Fleet::save(std::string_view deployment, const History& history, std::int64_t before) const {
  // The folder is locked while the old number is compared: two people cannot both win.
  constexpr std::string_view kScript =
      "set -e; umask 022; d=$(dirname -- \"$1\"); mkdir -p -- \"$d\"; exec 9>\"$d/.lock\"; "
      "flock 9; have=0; [ ! -e \"$1\" ] || have=$(cat -- \"$d/.number\" 2>/dev/null || echo 0); "
      "[ \"$have\" = \"$2\" ] || { echo \"revision $have is there\" >&2; exit 46; }; "
      "cat > \"$1.new\"; sync -- \"$1.new\"; mv -f -- \"$1.new\" \"$1\"; echo \"$3\" > "
      "\"$d/.number\"";
  const std::string text = pretty_json(history.to_json());
  for (const auto& host : hosts_) {
    BUNDLE_TRY(const CommandResult result,
               host->run({"sh", "-c", std::string(kScript), "sh", state_file(root_, deployment),
                          std::to_string(before), std::to_string(history.number())},
                         text));
    if (result.exit_code == 0) continue;
    return failed("the deployment's state cannot be written: " + result.err, host->name(),
                  result.exit_code == 46
                      ? "Another bundle changed the deployment meanwhile; run the command again."
                      : "Is the host's disk full, and may this user write there?");
  }
  return {};
}

Result<std::vector<std::string>> Fleet::deployments() const {
  std::set<std::string> names;
  for (const auto& host : hosts_) {
    BUNDLE_TRY(const auto some, deployments_of(*host, root_));
    names.insert(some.begin(), some.end());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Status Fleet::transfer(const HostForm& form, std::size_t index, const Progress& progress) const {
  const Host& host = *hosts_[index];
  BUNDLE_TRY(const auto missing, missing_files(host, wanted(form)));
  for (const auto& [file, path] : form.files) {
    if (std::find(missing.begin(), missing.end(), path) == missing.end()) continue;
    BUNDLE_CHECK(host.put(file, path, progress));
  }
  for (const HostText& small : form.texts) {
    BUNDLE_TRY(const auto there, read_text(host, small.path));
    if (there != small.text) BUNDLE_CHECK(write_text(host, small.path, small.text, small.mode));
  }
  return {};
}

Status Fleet::share_secrets(const DeploymentSpec& spec, std::size_t index) const {
  if (!spec.canary.is_on() || spec.secrets.empty()) return {};
  DeploymentSpec stable = spec;
  stable.name = spec.canary.of;
  BUNDLE_CHECK(run_script(*hosts_[index],
                          "set -e; [ ! -e \"$2\" ] || exit 0; umask 077; "
                          "cp -- \"$1\" \"$2.new\"; mv -f -- \"$2.new\" \"$2\"",
                          {secrets_file(stable, root_), secrets_file(spec, root_)}));
  return {};
}

Result<std::uint64_t> Fleet::missing_bytes(const HostForm& form) const {
  std::uint64_t bytes = 0;
  for (const auto& host : hosts_) {
    BUNDLE_TRY(const auto missing, missing_files(*host, wanted(form)));
    for (const auto& [file, path] : form.files) {
      if (std::find(missing.begin(), missing.end(), path) != missing.end()) bytes += file.size;
    }
  }
  return bytes;
}

Status Fleet::collect(std::size_t index) const {
  const Host& host = *hosts_[index];
  std::set<std::string> kept;
  BUNDLE_TRY(const auto names, deployments_of(host, root_));
  for (const std::string& name : names) {
    BUNDLE_TRY(const auto known, history_of(host, root_, name));
    if (!known) continue;
    for (const Revision& revision : known->revisions) {
      for (std::string& kept_name : kept_names(revision.spec, root_)) {
        kept.insert(std::move(kept_name));
      }
    }
  }
  std::string list;
  for (const std::string& name : kept) list += name + '\n';
  BUNDLE_CHECK(run_script(host,
                          "keep=$(cat); for f in \"$1\"/blobs/sha256/* \"$1\"/runtime/*; do "
                          "[ -e \"$f\" ] || continue; b=$(basename -- \"$f\" .part); "
                          "printf '%s\\n' \"$keep\" | grep -qxF -- \"$b\" || rm -rf -- \"$f\"; "
                          "done",
                          {root_}, list));
  return {};
}

Status Fleet::forget(std::string_view deployment) const {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    BUNDLE_CHECK(
        run_checked(*hosts_[i], {"rm", "-rf", "--", deployment_folder(root_, deployment)}));
    BUNDLE_CHECK(collect(i));
    BUNDLE_CHECK(run_script(*hosts_[i],
                            "rmdir -- \"$1/blobs/sha256\" \"$1/blobs\" \"$1/runtime\" "
                            "\"$1/deployments\" \"$1\" 2>/dev/null; true",
                            {root_}));
  }
  return {};
}

}  // namespace bundle::cloud
