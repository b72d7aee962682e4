#include "runtime/launch/engine_child.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

extern char** environ;

namespace bundle::launch {
namespace {

/// Owns what posix_spawn is told.
struct SpawnPlan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  SpawnPlan() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }

  /// The supervisor may block signals that the engine must not.
  void unblock_signals() {
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  }

  /// A copy of `from` becomes `target`. All copies lie above all targets, else one could overwrite
  /// another's source.
  Status give(const Fd& from, int target) {
    Fd copy(::fcntl(from.get(), F_DUPFD_CLOEXEC, kGroupFd + 1));
    if (!copy) return system_error("cannot copy a descriptor");
    ::posix_spawn_file_actions_adddup2(&files, copy.get(), target);
    copies.push_back(std::move(copy));
    return {};
  }

  std::vector<Fd> copies;
};

Result<Fd> open_pidfd(pid_t pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return system_error("cannot watch the engine process (Linux 5.3 or later is needed)");
  return fd;
}

std::string describe(int status) {
  if (WIFEXITED(status)) return "exited with code " + std::to_string(WEXITSTATUS(status));
  if (!WIFSIGNALED(status)) return "ended";
  const int signal = WTERMSIG(status);
  return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

}  // namespace

bool inherited(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

Result<Fd> memory_file(std::string_view text) {
  Fd fd(::memfd_create("bundle-launch", MFD_CLOEXEC));
  if (!fd) return system_error("cannot make a file in memory");
  while (!text.empty()) {
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno != EINTR) return system_error("cannot write a file in memory");
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  return fd;
}

Result<EngineChild> EngineChild::spawn(const Command& command, const EngineFds& fds, int rank) {
  SpawnPlan plan;
  for (int target = kMemoryFd; target <= kGroupFd; ++target) {
    ::posix_spawn_file_actions_addclose(&plan.files, target);
  }
  if (fds.channel != nullptr) {
    BUNDLE_CHECK(plan.give(fds.channel->memory, kMemoryFd));
    BUNDLE_CHECK(plan.give(fds.channel->supervisor_bell, kSupervisorBellFd));
    BUNDLE_CHECK(plan.give(fds.channel->engine_bell, kEngineBellFd));
  }
  if (fds.spec != nullptr) BUNDLE_CHECK(plan.give(*fds.spec, kSpecFd));
  if (fds.ranks != nullptr) BUNDLE_CHECK(plan.give(*fds.ranks, kRanksFd));
  if (fds.group != nullptr) BUNDLE_CHECK(plan.give(*fds.group, kGroupFd));
  ::posix_spawn_file_actions_addclosefrom_np(&plan.files, kGroupFd + 1);
  plan.unblock_signals();

  std::vector<std::string> arguments = command.arguments;
  arguments.emplace_back("--engine");
  arguments.push_back(std::to_string(::getpid()));
  const bool shares = fds.ranks != nullptr || fds.group != nullptr;
  if (shares) arguments.push_back(std::to_string(rank));
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  errno = ::posix_spawn(&pid, command.program.c_str(), &plan.files, &plan.attributes, argv.data(),
                        environ);
  if (errno != 0) return system_error("cannot start the engine process", command.program.string());
  EngineChild child(pid, Fd());
  BUNDLE_TRY(child.pidfd_, open_pidfd(pid));
  return child;
}

EngineChild::EngineChild(EngineChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

EngineChild& EngineChild::operator=(EngineChild&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

EngineChild::~EngineChild() {
  kill();
  reap();
}

void EngineChild::kill() const {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

bool EngineChild::dead() const {
  pollfd wanted{pidfd_.get(), POLLIN, 0};
  return pid_ <= 0 || ::poll(&wanted, 1, 0) > 0;
}

bool EngineChild::killed() const {
  if (pid_ <= 0) return false;
  siginfo_t info = {};
  const int looked = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (looked != 0 || info.si_pid != pid_) return false;
  return info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
}

std::string EngineChild::reap() {
  if (pid_ <= 0) return "ended";
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) break;
  }
  pid_ = -1;
  return describe(status);
}

}  // namespace bundle::launch
