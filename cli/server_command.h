// From a reference on the command line to a server that can be started: the launch document and
// the program that reads it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "packager/signing/trust.h"
#include "runtime/launch/contract.h"

namespace bundle::cli {

/// What a person named, ready to be launched.
struct ServerCommand {
  launch::LaunchSpec launch;
  std::vector<std::string> program;  // start of the command line: loader, libraries, bundle-server
  std::string bundle;                // "smollm2:latest", or the path of loose files
  std::string digest;                // "" for loose files
  /// bundle.yaml's resources, scaling, env and secrets, under the overrides and settings.
  JsonObject settings;
  JsonObject overrides;  // what `launch.runtime` has over the bundle's own: overrides and settings
};

/// `reference` is a bundle of the store, or the path of a model folder or .gguf file (which the
/// server beside this program then serves). `settings` are --set assignments in order, which win
/// over `overrides` (a deployment file's), which wins over the bundle's own. A bundle that the
/// trust policy or `trust` does not admit is refused before anything of it is read.
Result<ServerCommand> server_command(const std::string& reference, const JsonObject& overrides,
                                     const std::vector<std::string>& settings,
                                     const packager::signing::TrustOptions& trust = {});

/// Path of a program beside the running one ("bundle-server").
Path sibling_program(const std::string& name);

}  // namespace bundle::cli
