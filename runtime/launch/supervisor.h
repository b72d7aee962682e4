// bundle-server's first process: it answers HTTP from its first moment, holds the engine process,
// and decides when both end.
#pragma once

#include "base/result.h"
#include "runtime/launch/arguments.h"
#include "runtime/launch/self_command.h"

namespace bundle::launch {

/// Serves until a signal or a failure ends it. SIGTERM and SIGINT drain, a second one ends the
/// process at once with code 130. No error after a drain. Call it before any thread is started:
/// it blocks the signals.
Status supervise(const Arguments& arguments, const Command& self);

}  // namespace bundle::launch
