// An engine process beside the first, where several share the model: it loads its part and does
// what the first rank says, on this machine or on another.
#pragma once

#include "base/result.h"

namespace bundle::launch {

/// main of such a process, rank `rank` of those that it finds by what EngineChild put in its place.
/// `parent` is the supervisor's process id. What ends it is told to the first rank, and to the
/// supervisor where a channel is inherited. Gives the exit code.
int run_rank_process(int parent, int rank);

}  // namespace bundle::launch
