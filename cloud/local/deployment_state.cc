#include "cloud/local/deployment_state.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/text.h"

namespace bundle::cloud {
namespace {

constexpr std::int64_t kFormat = 1;

Path deployments_root() { return bundle_home() / "deployments"; }

Path lock_file(std::string_view deployment) {
  return deployments_root() / ("." + std::string(deployment) + ".lock");
}

/// The open file is the one that has this path now.
bool is_file_at(const Fd& fd, const Path& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd.get(), &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

Json process_json(const ServerProcess& process) {
  return JsonObject{{"pid", process.identity.pid},
                    {"start_ticks", process.identity.start_ticks},
                    {"port", process.port},
                    {"started", process.started}};
}

Result<ServerProcess> read_process(const Json& value, std::string_view where) {
  ServerProcess process;
  BUNDLE_TRY(const std::int64_t pid, get_int(value, "pid", where));
  BUNDLE_TRY(const std::int64_t ticks, get_int(value, "start_ticks", where));
  BUNDLE_TRY(const std::int64_t port, get_int(value, "port", where));
  BUNDLE_TRY(process.started, get_int(value, "started", where));
  process.identity = {static_cast<pid_t>(pid), static_cast<std::uint64_t>(ticks)};
  process.port = static_cast<std::uint16_t>(port);
  return process;
}

}  // namespace

Json DeploymentState::to_json() const {
  JsonArray list;
  for (const Revision& revision : revisions) list.push_back(cloud::to_json(revision));
  JsonObject document{{"format", kFormat}, {"revisions", std::move(list)}};
  if (process) document["process"] = process_json(*process);
  if (pending) document["pending"] = true;
  return document;
}

Result<DeploymentState> DeploymentState::from_json(const Json& value, std::string_view where) {
  BUNDLE_TRY(const std::int64_t format, get_int(value, "format", where));
  if (format != kFormat) {
    return bad_input("format " + std::to_string(format) + " is not known", std::string(where),
                     "A newer bundle wrote it; use that one.");
  }
  DeploymentState state;
  const Json* list = find(value, "revisions");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) {
    return bad_input("'revisions' is missing or empty", std::string(where));
  }
  for (const Json& item : list->get_array()) {
    BUNDLE_TRY(Revision revision, revision_from_json(item, where));
    state.revisions.push_back(std::move(revision));
  }
  BUNDLE_TRY(state.pending, get_bool_or(value, "pending", false, where));
  if (const Json* process = find(value, "process")) {
    BUNDLE_TRY(state.process, read_process(*process, where));
  }
  return state;
}

DeploymentFolder::DeploymentFolder(std::string_view name) : path(deployments_root() / name) {}

Result<DeploymentState> load_state(std::string_view deployment) {
  const DeploymentFolder folder(deployment);
  if (!is_valid_deployment_name(deployment) || !std::filesystem::exists(folder.state())) {
    const std::string near = nearest(deployment, deployment_names());
    return not_found("there is no deployment '" + std::string(deployment) + "'",
                     deployments_root().string(),
                     near.empty() ? "'bundle status' lists them." : "Did you mean '" + near + "'?");
  }
  BUNDLE_TRY(const Json document, read_json_file(folder.state().string()));
  return DeploymentState::from_json(document, folder.state().string());
}

Status save_state(std::string_view deployment, const DeploymentState& state) {
  return write_file_atomic(DeploymentFolder(deployment).state(), pretty_json(state.to_json()));
}

std::vector<std::string> deployment_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(deployments_root(), error)) {
    if (std::filesystem::exists(entry.path() / "state.json")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<Fd> lock_ports() { return lock_deployment("=ports"); }  // no deployment's name

Result<Fd> lock_deployment(std::string_view deployment) {
  // The lock lies beside the folder, so that it outlives the deployment's removal.
  const Path path = lock_file(deployment);
  BUNDLE_CHECK(make_directories(deployments_root()));
  for (;;) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd || ::flock(fd.get(), LOCK_EX) != 0) {
      return system_error("cannot lock the deployment", path.string());
    }
    // Whoever held it before may have taken the file away: then another has the lock's name.
    if (is_file_at(fd, path)) return fd;
  }
}

void remove_lock(std::string_view deployment, const Fd&) {
  std::error_code ignored;
  std::filesystem::remove(lock_file(deployment), ignored);
}

}  // namespace bundle::cloud
