// What an engine process loads: the model of a launch document, on the device that it asks for.
#pragma once

#include <string>

#include "runtime/launch/engine_loop.h"

namespace bundle::launch {

/// `spec` is a LaunchSpec as JSON text.
Result<LoadedEngine> load_engine(const std::string& spec, const Progress& progress);

/// The same where the model is shared: the first rank's part, once all ranks have theirs. How they
/// are reached lies where EngineChild put it.
Result<LoadedEngine> load_first_rank(const std::string& spec, const Progress& progress);

}  // namespace bundle::launch
