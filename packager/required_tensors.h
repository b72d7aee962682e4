// Which tensors an architecture cannot run without, so that a checkpoint that lacks one is refused
// when it is packed and not when it is first served.
#pragma once

#include "base/result.h"
#include "runtime/format/model_config.h"

namespace bundle::packager {

/// kBadInput naming the first tensor that is missing, or whose shape the configuration
/// contradicts. Only what every model of the kind has is asked for: the engine's own loader stays
/// the judge of the rest.
Status check_required_tensors(const format::Checkpoint& checkpoint,
                              const format::ModelConfig& config);

}  // namespace bundle::packager
