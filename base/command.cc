#include "base/command.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bundle {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name(*entry, std::strcspn(*entry, "="));
    const bool replaced = std::any_of(command.environment.begin(), command.environment.end(),
                                      [&](const auto& pair) { return pair.first == name; });
    if (!replaced) all.emplace_back(*entry);
  }
  for (const auto& [name, value] : command.environment) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> array;
  for (std::string& text : texts) array.push_back(text.data());
  array.push_back(nullptr);
  return array;
}

/// In the child: async-signal-safe calls only.
[[noreturn]] void become(char* const* argv, char* const* environment, int in, int out, int err,
                         int report) {
  if (::dup2(in, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(err, 2) >= 0) {
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execvpe(argv[0], argv, environment);
  }
  const int number = errno;
  [[maybe_unused]] const ssize_t n = ::write(report, &number, sizeof number);
  ::_exit(127);
}

/// A child and the ends of its three streams.
class Child {
 public:
  static Result<Child> start(const Command& command) {
    BUNDLE_TRY(Pipe in, make_pipe());
    BUNDLE_TRY(Pipe out, make_pipe());
    BUNDLE_TRY(Pipe err, make_pipe());
    BUNDLE_TRY(Pipe report, make_pipe());
    std::vector<std::string> words = command.argv;
    std::vector<std::string> variables = environment_of(command);
    const std::vector<char*> argv = pointers(words);
    const std::vector<char*> environment = pointers(variables);
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("cannot start a process", command.argv[0]);
    if (pid == 0) {
      become(argv.data(), environment.data(), in.read.get(), out.write.get(), err.write.get(),
             report.write.get());
    }
    report.write.reset();
    int number = 0;
    if (::read(report.read.get(), &number, sizeof number) == sizeof number) {
      ::waitpid(pid, nullptr, 0);
      errno = number;
      Error error = system_error("cannot start '" + command.argv[0] + "'");
      if (number == ENOENT) {
        error = not_found("the program '" + command.argv[0] + "' is not installed", "",
                          "Install it, or add its folder to PATH.");
      }
      return error;
    }
    return Child(pid, std::move(in.write), std::move(out.read), std::move(err.read));
  }

  Fd in, out, err;

  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void end(int signal) { ::kill(pid_, signal); }

 private:
  Child(pid_t pid, Fd in_end, Fd out_end, Fd err_end)
      : in(std::move(in_end)), out(std::move(out_end)), err(std::move(err_end)), pid_(pid) {}
  pid_t pid_;
};

/// What still goes into the child: a text, or a range of a file a piece at a time.
class Input {
 public:
  static Result<Input> open(const Command& command) {
    Input input;
    input.left_ = command.input;
    if (command.input_file.empty()) return input;
    input.file_ = Fd(::open(command.input_file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!input.file_) return system_error("cannot read the file", command.input_file.string());
    input.offset_ = command.input_offset;
    input.remaining_ = command.input_length == 0 ? ~std::uint64_t{0} : command.input_length;
    return input;
  }

  /// The next bytes to write; empty at the end.
  std::string_view next() {
    if (!left_.empty() || !file_ || remaining_ == 0) return left_;
    buffer_.resize(std::min<std::uint64_t>(1u << 20, remaining_));
    const ssize_t n =
        ::pread(file_.get(), buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
    if (n <= 0) return {};
    offset_ += static_cast<std::uint64_t>(n);
    remaining_ -= static_cast<std::uint64_t>(n);
    left_ = std::string_view(buffer_.data(), static_cast<std::size_t>(n));
    return left_;
  }
  void advance(std::size_t n) { left_.remove_prefix(n); }

 private:
  std::string_view left_;
  std::string buffer_;
  Fd file_;
  std::uint64_t offset_ = 0;
  std::uint64_t remaining_ = 0;
};

/// Moves bytes between the child and us until its output ends.
class Exchange {
 public:
  Exchange(const Command& command, Child& child, Input input)
      : command_(command), child_(child), input_(std::move(input)), started_(Clock::now()) {
    ::fcntl(child_.in.get(), F_SETFL, O_NONBLOCK);
  }

  Status run(CommandResult& result) {
    while (child_.out || child_.err) {
      feed_end();
      std::array<pollfd, 3> waits{{{child_.in.get(), POLLOUT, 0},
                                   {child_.out.get(), POLLIN, 0},
                                   {child_.err.get(), POLLIN, 0}}};
      const int ready = ::poll(waits.data(), waits.size(), 200);
      if (ready < 0 && errno != EINTR) return system_error("cannot wait for a process");
      if (waits[0].revents != 0) BUNDLE_CHECK(feed());
      if (waits[1].revents != 0) BUNDLE_CHECK(take(child_.out, result.out, true));
      if (waits[2].revents != 0) BUNDLE_CHECK(take(child_.err, result.err, false));
      if (ready == 0 && command_.on_output && !command_.on_output({})) return stopped();
      if (command_.timeout.count() > 0 && Clock::now() - started_ > command_.timeout) {
        return Error{ErrorCode::kUnreachable, "'" + command_.argv[0] + "' did not end in time"};
      }
    }
    return {};
  }

 private:
  static Error stopped() { return {ErrorCode::kInterrupted, "stopped"}; }

  void feed_end() {
    if (child_.in && input_.next().empty()) child_.in.reset();
  }

  Status feed() {
    const std::string_view piece = input_.next();
    const ssize_t n = ::write(child_.in.get(), piece.data(), piece.size());
    if (n < 0 && errno != EAGAIN && errno != EINTR) child_.in.reset();
    if (n <= 0) return {};
    input_.advance(static_cast<std::size_t>(n));
    sent_ += static_cast<std::uint64_t>(n);
    return !command_.on_sent || command_.on_sent(sent_) ? Status() : stopped();
  }

  Status take(Fd& from, std::string& into, bool is_output) {
    std::array<char, 1u << 16> buffer;
    const ssize_t n = ::read(from.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return {};
    if (n <= 0) {
      from.reset();
      return {};
    }
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(n));
    if (is_output && command_.on_output) {
      return command_.on_output(piece) ? Status() : stopped();
    }
    into += piece.substr(0, command_.max_output - into.size());
    return {};
  }

  const Command& command_;
  Child& child_;
  Input input_;
  Clock::time_point started_;
  std::uint64_t sent_ = 0;
};

/// While it lives, writing to a program that has ended is an error and not a signal.
class IgnorePipeSignal {
 public:
  IgnorePipeSignal() {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~IgnorePipeSignal() {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    const timespec now{};
    while (::sigtimedwait(&pipe, nullptr, &now) > 0) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_;
};

}  // namespace

Result<CommandResult> run_command(const Command& command) {
  const IgnorePipeSignal guard;
  BUNDLE_TRY(Input input, Input::open(command));
  BUNDLE_TRY(Child child, Child::start(command));
  CommandResult result;
  Exchange exchange(command, child, std::move(input));
  const Status moved = exchange.run(result);
  if (!moved) child.end(moved.error().code == ErrorCode::kInterrupted ? SIGTERM : SIGKILL);
  child.in.reset();
  result.exit_code = child.wait();
  if (!moved) return moved.error();
  return result;
}

}  // namespace bundle
