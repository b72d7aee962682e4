// An engine process as its supervisor holds it: started with its descriptors in place, watched
// through a pidfd, never left behind.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "runtime/launch/channel.h"
#include "runtime/launch/self_command.h"

namespace bundle::launch {

/// Where an engine process finds what it inherits.
inline constexpr int kMemoryFd = 3;
inline constexpr int kSupervisorBellFd = 4;
inline constexpr int kEngineBellFd = 5;
inline constexpr int kSpecFd = 6;
inline constexpr int kRanksFd = 7;
inline constexpr int kGroupFd = 8;
/// Whether this process inherited it.
bool inherited(int fd);

/// What an engine process inherits; null is nothing.
struct EngineFds {
  const ChannelFds* channel = nullptr;  // of the process that answers the supervisor
  const Fd* spec = nullptr;
  const Fd* ranks = nullptr;  // memory of the ranks that share a model (comm/shared_memory.h)
  const Fd* group = nullptr;  // how those of other machines are found (group.h)
};

/// A file without a name that holds `text`, to be inherited.
Result<Fd> memory_file(std::string_view text);

/// Not thread-safe. Must be spawned on a thread that lives as long as the engine should: Linux
/// tells a child of its parent's death when the thread that made it ends.
class EngineChild {
 public:
  /// Runs `command` with "--engine" and this process's id after its arguments, and behind them
  /// `rank` where there are ranks or a group; no descriptors but the three standard ones and those
  /// above reach it.
  static Result<EngineChild> spawn(const Command& command, const EngineFds& fds, int rank = 0);
  EngineChild(EngineChild&& other) noexcept;
  EngineChild& operator=(EngineChild&& other) noexcept;
  /// Kills it if it still runs, and reaps it.
  ~EngineChild();

  pid_t pid() const { return pid_; }
  /// Readable once it has died.
  int pidfd() const { return pidfd_.get(); }
  void kill() const;
  /// Waits until it is dead and says how it died: "was killed by signal 9 (Killed)".
  std::string reap();
  /// Whether it is dead already, and whether a signal killed it.
  bool dead() const;
  bool killed() const;

 private:
  EngineChild(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_ = -1;  // -1: reaped
  Fd pidfd_;
};

}  // namespace bundle::launch
