// Child processes: start, wait, signal, and know one again later.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle {

/// What to start. Every descriptor but the three standard ones is closed in the child.
struct SpawnOptions {
  std::vector<std::string> argv;                                      // argv[0] is found on PATH
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to this process's
  Path output = {};       // standard output and error are appended to it; empty: inherited
  bool detached = false;  // its own session, standard input from /dev/null
};

/// Starts a program. The error is the child's when it cannot be executed. The caller waits for the
/// child (wait_exit), unless it is detached and outlives this process.
Result<pid_t> spawn(const SpawnOptions& options);

/// Waits for a child of this process at most that long; the exit code, 128 + signal when a signal
/// ended it, none when it still runs.
Result<std::optional<int>> wait_exit(pid_t child, std::chrono::milliseconds limit);

/// Runs a program to its end and gives its exit code.
Result<int> run_process(const SpawnOptions& options);

/// A process for good: its id and when it started (clock ticks since boot), since ids are reused.
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;

  bool operator==(const ProcessIdentity&) const = default;
};

/// None when there is no such process, or it has ended and waits to be reaped.
std::optional<ProcessIdentity> identify_process(pid_t pid);
bool is_running(const ProcessIdentity& process);

/// Sends a signal when the process still runs; kNotFound when it does not.
Status signal_process(const ProcessIdentity& process, int signal);

/// Waits until the process is gone; false when it outlives the limit.
bool wait_gone(const ProcessIdentity& process, std::chrono::milliseconds limit);

}  // namespace bundle
