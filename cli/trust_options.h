// --require-signature, --key and --policy, which all commands that let a bundle in have in common.
#pragma once

#include <memory>

#include "packager/signing/trust.h"

namespace CLI {
class App;
}

namespace bundle::cli {

/// Adds the options to a command; they fill what is returned.
std::shared_ptr<packager::signing::TrustOptions> add_trust_options(CLI::App* command);

}  // namespace bundle::cli
