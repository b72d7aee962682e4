// The hosts of a "systemd" or "ssh" target and what they keep: connections, state files, blobs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloud/history.h"
#include "cloud/host/host.h"
#include "cloud/systemd/host_form.h"

namespace bundle::cloud {

/// Thread-safe. Every host keeps a copy of each deployment's state; the newest one counts.
class Fleet {
 public:
  /// This host.
  static Result<Fleet> local(const JsonObject& settings);
  /// The hosts of the inventory. kUsage when it is empty.
  static Result<Fleet> over_ssh(const JsonObject& settings);

  std::size_t size() const { return hosts_.size(); }
  const Host& host(std::size_t index) const { return *hosts_[index]; }
  const std::string& root() const { return root_; }
  const std::string& units() const { return units_; }

  /// The deployment's history, or none when no host knows it.
  Result<std::optional<History>> find_history(std::string_view deployment) const;
  /// kNotFound, with the nearest name.
  Result<History> history(std::string_view deployment) const;
  /// Writes the history to every host, unless another process changed it since revision `before`.
  Status save(std::string_view deployment, const History& history, std::int64_t before) const;
  Result<std::vector<std::string>> deployments() const;

  /// Brings the files that a host lacks to it.
  Status transfer(const HostForm& form, std::size_t host, const Progress& progress) const;
  /// Gives a canary the secrets of the deployment beside it, which only the host has any more.
  Status share_secrets(const DeploymentSpec& host_spec, std::size_t host) const;
  /// How many bytes of a host form's files the hosts lack, all together.
  Result<std::uint64_t> missing_bytes(const HostForm& form) const;
  /// Removes blobs, servers and small files that no deployment's revision needs.
  Status collect(std::size_t host) const;
  /// Removes everything of one deployment but its units.
  Status forget(std::string_view deployment) const;

 private:
  Fleet() = default;
  std::vector<std::shared_ptr<Host>> hosts_;
  std::string root_;
  std::string units_;
};

}  // namespace bundle::cloud
