// How a process that the supervisor started begins, whichever rank it is.
#pragma once

#include <string>

#include "base/result.h"

namespace bundle::launch {

/// Ignores the signals that a terminal or service manager sends to the whole group, and ends with
/// the supervisor, whose process id `parent` is. kFailed when that is gone already.
Status settle_process(int parent, const char* name);

/// What the supervisor wants to be loaded: a launch document.
Result<std::string> read_spec();

}  // namespace bundle::launch
