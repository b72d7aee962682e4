// How this program can be started again, however it was started: directly, or through a loader of
// its own ("ld-linux-x86-64.so.2 --library-path LIB bundle-server …").
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle::launch {

/// A program and the arguments that come before a caller's own.
struct Command {
  Path program;
  std::vector<std::string> arguments;  // arguments[0] is the name it sees
};

/// The loader hides its own arguments from main, but the kernel remembers them: whatever
/// /proc/self/cmdline has more than `argc` words belongs to the loader.
Result<Command> self_command(int argc);

/// The same from the text of a cmdline file, for tests.
Result<Command> self_command(std::string_view cmdline, int argc);

}  // namespace bundle::launch
