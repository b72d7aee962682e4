// What a local deployment remembers, in one JSON file that is replaced atomically.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "cloud/history.h"

namespace bundle::cloud {

/// The running server of a deployment.
struct ServerProcess {
  ProcessIdentity identity;
  std::uint16_t port = 0;
  std::int64_t started = 0;  // seconds since 1970
};

/// Everything about one deployment. A value.
struct DeploymentState {
  std::vector<Revision> revisions;  // oldest first; the last one is the present
  std::optional<ServerProcess> process;
  bool pending = false;  // a change was begun, and its end is not written yet

  const Revision& current() const { return revisions.back(); }
  Json to_json() const;
  static Result<DeploymentState> from_json(const Json& value, std::string_view where);
};

/// Files of one deployment.
struct DeploymentFolder {
  explicit DeploymentFolder(std::string_view name);

  Path path;
  Path state() const { return path / "state.json"; }
  Path log() const { return path / "server.log"; }
  Path old_log() const { return path / "server.log.1"; }
  Path launch(std::int64_t revision) const {
    return path / ("launch-" + std::to_string(revision) + ".json");
  }
};

/// kNotFound when there is no such deployment, with the nearest name.
Result<DeploymentState> load_state(std::string_view deployment);
Status save_state(std::string_view deployment, const DeploymentState& state);
/// Names of all deployments, sorted.
std::vector<std::string> deployment_names();

/// Held from the choice of a free port until the state that has it is saved.
Result<Fd> lock_ports();

/// Held while a deployment is changed; other processes wait. Released when it goes.
Result<Fd> lock_deployment(std::string_view deployment);
/// Takes the held lock's file away, so that nothing stays of a deployment that is gone; those who
/// wait for it make a new one.
void remove_lock(std::string_view deployment, const Fd& held);

}  // namespace bundle::cloud
