// An engine process beside the first, where several share the model: it loads its part and does
// what the first rank says.
#pragma once

#include "base/result.h"

namespace bundle::launch {

/// main of such a process: rank `rank` of the ranks whose memory lies where EngineChild put it.
/// `parent` is the supervisor's process id. What ends it is told to the first rank. Gives the exit
/// code.
int run_rank_process(int parent, int rank);

}  // namespace bundle::launch
