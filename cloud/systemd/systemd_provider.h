// The targets "systemd" (this host) and "ssh" (the hosts of an inventory): each replica is a
// hardened systemd unit, and the state lies on the hosts.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: root (default /var/lib/bundle), units (default /etc/systemd/system).
std::unique_ptr<Provider> make_systemd_provider(const JsonObject& settings);

/// The same and: hosts, a list of [USER@]HOST[:PORT]; key_file and config_file for OpenSSH.
std::unique_ptr<Provider> make_ssh_provider(const JsonObject& settings);

/// Render-only: Podman quadlets of a deployment.
std::unique_ptr<Provider> make_podman_provider(const JsonObject& settings);

}  // namespace bundle::cloud
