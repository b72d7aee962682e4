// What push, pull and mirror have in common: how to reach a registry.
#pragma once

#include <memory>

#include "packager/registry/token_source.h"

namespace CLI {
class App;
}

namespace bundle::cli {

struct TransferOptions {
  packager::registry::RegistryOptions registry;
  int parallel = 4;
};

/// Adds the options to a command; they fill what is returned.
std::shared_ptr<TransferOptions> add_transfer_options(CLI::App* command, int parallel = 4);

}  // namespace bundle::cli
