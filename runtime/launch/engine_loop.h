// The engine process's side: takes requests from the channel, steps the engine, sends events. Built
// for one thread, which sleeps when there is nothing to do.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/engine/engine.h"

namespace bundle::launch {

/// An engine with all that it stands on.
struct LoadedEngine {
  std::shared_ptr<void> ground;  // checkpoint, device: goes away after the engine
  std::unique_ptr<engine::Engine> engine;
  /// Tells whoever shares the model that the engine ends for this reason; empty: nobody does.
  std::function<void(const Error&)> give_up = {};
  /// Whether they are all still there; asked now and then while there is nothing to do.
  std::function<Status()> look_around = {};
};

/// Makes the engine from what the supervisor handed over.
using LoadEngine =
    std::function<Result<LoadedEngine>(const std::string& spec, const Progress& progress)>;

/// main of an engine process, whose descriptors are where EngineChild put them. `parent` is the
/// supervisor's process id: this process ends when the supervisor does. Gives the exit code.
int run_engine_process(int parent, const LoadEngine& load);

}  // namespace bundle::launch
