// A deployment as a host keeps it: the bundle's blobs, the server and small files under one root,
// named by their content, and a specification whose paths are the host's. Equal inputs give equal
// host forms on every machine, so that "nothing changed" can be told from the host's state alone.
//
//   ROOT/blobs/sha256/HEX            blobs of the store
//   ROOT/runtime/HEX/…               the unpacked server
//   ROOT/deployments/NAME/state.json its revisions
//   ROOT/deployments/NAME/…          launch documents, keys and secrets
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cloud/deployment_spec.h"

namespace bundle::cloud {

/// A small file that is written whole.
struct HostText {
  std::string path;
  std::string text;
  std::string mode;
};

struct HostForm {
  DeploymentSpec spec;
  std::vector<std::pair<HostFile, std::string>> files;  // here, and its path there
  std::vector<HostText> texts;
};

/// kUsage for loose files and for a bundle without a server of its own: neither can be kept on
/// another host. Reads key and secret files; hashes the server's files.
Result<HostForm> host_form(const DeploymentSpec& spec, const std::string& root);

std::string deployment_folder(const std::string& root, std::string_view deployment);
std::string state_file(const std::string& root, std::string_view deployment);

/// Names, under ROOT/blobs/sha256 and ROOT/runtime, that a specification in host form needs.
std::vector<std::string> kept_names(const DeploymentSpec& host_spec, const std::string& root);

/// The launch document's path in host form.
std::string launch_file(const DeploymentSpec& host_spec, const std::string& root);
/// "" when there are no secrets.
std::string secrets_file(const DeploymentSpec& host_spec, const std::string& root);

}  // namespace bundle::cloud
