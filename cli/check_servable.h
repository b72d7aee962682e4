// Whether a server could serve a model, asked before it is packed.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "runtime/format/source.h"

namespace bundle::cli {

/// The settings alone: known keys, values in range, a context that the model was made for. Quick,
/// so that a deployment is refused before what runs is stopped.
Status check_settings(const format::ModelSource& model, const JsonObject& runtime);

/// Reads tokenizer, chat template and settings as bundle-server does when it starts, without
/// weights. kBadInput with what it would say.
Status check_servable(const format::ModelSource& model, const JsonObject& runtime);

}  // namespace bundle::cli
