// The target "local": a detached server process on this machine, with its state under
// $BUNDLE_HOME/deployments/NAME.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

std::unique_ptr<Provider> make_local_provider();

}  // namespace bundle::cloud
