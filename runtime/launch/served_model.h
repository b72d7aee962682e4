// The supervisor's view of a model: tokenizer, chat template, names and defaults; no weights.
#pragma once

#include "base/result.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/server/http_server.h"

namespace bundle::launch {

/// Reads what the server needs of the model's files. A model without tokenizer serves token ids,
/// one without chat template serves completions only.
Result<server::ServedModel> load_served_model(const LaunchSpec& spec,
                                              const RuntimeSettings& settings);

}  // namespace bundle::launch
