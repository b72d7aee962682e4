// Which target a deployment's name leads to. The target itself holds everything about a deployment;
// kept here is only where to ask, and a flag or a deployment.yaml tells that on another machine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cloud/provider.h"

namespace CLI {
class App;
}

namespace bundle::cli {

/// Options of the commands that look after deployments.
struct PlaceArguments {
  std::string target;              // "" when not given
  std::string file;                // deployment.yaml
  std::vector<std::string> hosts;  // of the target ssh
};
/// --target, --file and --on.
void add_place_options(CLI::App& command, PlaceArguments& arguments);

/// The place that the arguments name, else the one remembered for `deployment`, else this machine.
Result<cloud::Place> find_place(const std::string& deployment, const PlaceArguments& arguments);
Result<std::unique_ptr<cloud::Provider>> find_provider(const std::string& deployment,
                                                       const PlaceArguments& arguments);

/// The provider of a place, with what this machine knows of how to reach it (a kubeconfig).
Result<std::unique_ptr<cloud::Provider>> open_provider(const cloud::Place& place);

/// Remembers where a deployment is; "local" needs no memory.
Status remember_place(const std::string& deployment, const cloud::Place& place);
void forget_place(const std::string& deployment);

/// All places that deployments were brought to from here, this machine first, each once.
std::vector<cloud::Place> known_places();

}  // namespace bundle::cli
