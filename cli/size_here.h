// `bundle size --here`: whether a model fits this machine, and how fast it would be.
#pragma once

#include "cli/session.h"
#include "cli/size_options.h"

namespace bundle::cli {

/// kNotFound and kBadInput as size_input; kUsage for a model that the CPU kernels do not compute.
Result<Outcome> size_here(const std::string& reference, const SizeOptions& options, int threads);

}  // namespace bundle::cli
