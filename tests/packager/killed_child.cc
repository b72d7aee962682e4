#include "tests/packager/killed_child.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <set>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bundle::packager {
namespace {

bool changes_files(std::uint64_t call) {
  static const std::set<std::uint64_t> kCalls = {
      SYS_write,     SYS_pwrite64, SYS_open,     SYS_openat, SYS_rename,
      SYS_renameat,  SYS_unlink,   SYS_unlinkat, SYS_fsync,  SYS_fdatasync,
      SYS_mkdir,     SYS_mkdirat,  SYS_linkat,   SYS_fchmod, SYS_ftruncate,
      SYS_fallocate, SYS_flock,    SYS_ioctl,    SYS_rmdir};
  return kCalls.contains(call);
}

bool reads_files(std::uint64_t call) { return call == SYS_read || call == SYS_pread64; }

bool writes(std::uint64_t call) { return call == SYS_write || call == SYS_pwrite64; }

/// A child that stops before and after each of its system calls.
class TracedChild {
 public:
  explicit TracedChild(const std::function<bool()>& work) : pid_(::fork()) {
    if (pid_ == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      ::_exit(work() ? 0 : 1);
    }
    ::waitpid(pid_, &status_, 0);
    ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  }

  /// Runs to the next call's beginning or end; false when the child is gone.
  bool step() {
    for (;;) {
      ::ptrace(PTRACE_SYSCALL, pid_, nullptr, nullptr);
      if (::waitpid(pid_, &status_, 0) != pid_ || !WIFSTOPPED(status_)) return false;
      if (WSTOPSIG(status_) == (SIGTRAP | 0x80)) return true;
    }
  }

  /// Runs to the beginning of the n-th call for which `counts` holds.
  bool run_to(int n, bool (*counts)(std::uint64_t)) {
    for (bool is_entry = true; step(); is_entry = !is_entry) {
      if (is_entry && counts(registers().orig_rax) && --n == 0) return true;
    }
    return false;
  }

  user_regs_struct registers() const {
    user_regs_struct values{};
    ::ptrace(PTRACE_GETREGS, pid_, nullptr, &values);
    return values;
  }
  void set(const user_regs_struct& values) const {
    ::ptrace(PTRACE_SETREGS, pid_, nullptr, &values);
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  /// Lets it run to its end. A signal that it was stopped for is passed on: one that is kept from a
  /// child that crashes would be raised for ever.
  void finish() {
    while (WIFSTOPPED(status_)) {
      const int stop = WSTOPSIG(status_) & ~0x80;
      ::ptrace(PTRACE_CONT, pid_, nullptr, stop == SIGTRAP ? 0 : stop);
      if (::waitpid(pid_, &status_, 0) != pid_) return;
    }
  }
  bool succeeded() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }
  bool crashed() const { return WIFSIGNALED(status_); }

 private:
  pid_t pid_;
  int status_ = 0;
};

/// The call that is about to begin is not made; its answer is the error.
void fail_call(TracedChild& child, int error) {
  user_regs_struct values = child.registers();
  values.orig_rax = static_cast<unsigned long long>(-1);
  child.set(values);
  if (!child.step()) return;
  values = child.registers();
  values.rax = static_cast<unsigned long long>(-error);
  child.set(values);
}

void shorten_write(TracedChild& child) {
  user_regs_struct values = child.registers();
  values.rdx = std::max<unsigned long long>(values.rdx / 2, std::min(values.rdx, 1ull));
  child.set(values);
}

}  // namespace

bool killed_at(int n, const std::function<void()>& work) {
  TracedChild child([&] {
    work();
    return true;
  });
  if (!child.run_to(n, changes_files)) return false;
  child.kill();
  return true;
}

Outcome outcome_with(Fault fault, int n, const std::function<bool()>& work) {
  TracedChild child(work);
  const auto counts = fault == Fault::kReadError    ? reads_files
                      : fault == Fault::kShortWrite ? writes
                                                    : changes_files;
  Outcome outcome;
  outcome.was_met = child.run_to(n, counts);
  if (outcome.was_met && fault == Fault::kShortWrite) {
    shorten_write(child);
  } else if (outcome.was_met) {
    fail_call(child, fault == Fault::kNoSpace ? ENOSPC : EIO);
  }
  child.finish();
  outcome.succeeded = child.succeeded();
  outcome.crashed = child.crashed();
  return outcome;
}

int exit_with_full_disk(std::uint64_t bytes, const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit sizes{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &sizes);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace bundle::packager
