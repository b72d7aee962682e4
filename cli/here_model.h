// How fast this machine runs a model whose files are here: the model itself where it is small, else
// its first layers. Every architecture that the runtime serves.
#pragma once

#include "base/result.h"
#include "cli/here_probe.h"
#include "runtime/format/checkpoint.h"

namespace bundle::cli {

/// Loads as many of the first layers as 1 GiB holds (at least two of the repeated kind), times a
/// decode step and a prompt, and goes on from them to all layers. Errors of loading; kFailed when
/// this CPU has no kernels.
Result<HereSpeed> measure_model_here(const format::Checkpoint& checkpoint,
                                     const sizing::SizedModel& model, const HereQuestion& question);

}  // namespace bundle::cli
