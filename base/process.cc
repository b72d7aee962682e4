#include "base/process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bundle {
namespace {

using Clock = std::chrono::steady_clock;

/// Runs in the child between fork and exec: async-signal-safe calls only. The errno of what fails
/// goes through `report`.
[[noreturn]] void fail_child(int report) {
  const int number = errno;
  [[maybe_unused]] const ssize_t n = ::write(report, &number, sizeof number);
  ::_exit(127);
}

struct ChildPlan {
  char* const* argv;
  char* const* environment;
  const char* output;
  bool detached;
};

[[noreturn]] void become_child(const ChildPlan& plan, int report) {
  if (plan.detached) ::setsid();
  if (plan.detached) {
    const int null = ::open("/dev/null", O_RDONLY);
    if (null < 0 || ::dup2(null, 0) < 0) fail_child(report);
  }
  if (plan.output != nullptr) {
    const int out = ::open(plan.output, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) fail_child(report);
  }
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) ::signal(signal, SIG_DFL);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execvpe(plan.argv[0], plan.argv, plan.environment);
  fail_child(report);
}

std::vector<std::string> merged_environment(const SpawnOptions& options) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, unused] : options.environment) replaced |= key == name;
    if (!replaced) merged.push_back(text);
  }
  for (const auto& [key, value] : options.environment) merged.push_back(key + "=" + value);
  return merged;
}

std::vector<char*> c_array(std::vector<std::string>& strings) {
  std::vector<char*> array;
  for (std::string& text : strings) array.push_back(text.data());
  array.push_back(nullptr);
  return array;
}

/// The errno that the child reports, or 0 when exec closed the pipe.
int exec_errno(int report) {
  int number = 0;
  ssize_t n = 0;
  do {
    n = ::read(report, &number, sizeof number);
  } while (n < 0 && errno == EINTR);
  return n == sizeof number ? number : 0;
}

int exit_code(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<pid_t> spawn(const SpawnOptions& options) {
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> variables = merged_environment(options);
  const std::vector<char*> argv = c_array(arguments);
  const std::vector<char*> environment = c_array(variables);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const ChildPlan plan{argv.data(), environment.data(),
                       options.output.empty() ? nullptr : options.output.c_str(), options.detached};
  const pid_t child = ::fork();
  if (child < 0) return system_error("cannot start a process", options.argv[0]);
  if (child == 0) become_child(plan, write_end.get());
  write_end.reset();
  if (const int number = exec_errno(read_end.get()); number != 0) {
    ::waitpid(child, nullptr, 0);
    errno = number;
    return system_error("cannot start the program", options.argv[0]);
  }
  return child;
}

Result<std::optional<int>> wait_exit(pid_t child, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    int status = 0;
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child) return std::optional<int>(exit_code(status));
    if (done < 0 && errno != EINTR) return system_error("cannot wait for a process");
    if (Clock::now() >= deadline) return std::optional<int>();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<int> run_process(const SpawnOptions& options) {
  BUNDLE_TRY(const pid_t child, spawn(options));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return system_error("cannot wait for a process", options.argv[0]);
  }
  return exit_code(status);
}

std::optional<ProcessIdentity> identify_process(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return std::nullopt;  // also where it ends between the opening and the reading
  // The second field is the name in parentheses, which may hold anything; the state follows it.
  const std::size_t close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(close + 1));
  std::string field;
  constexpr int kStartTime = 22;  // proc(5), counted from 1; the state is field 3
  for (int index = 3; fields >> field; ++index) {
    if (index == 3 && (field == "Z" || field == "X")) return std::nullopt;
    if (index == kStartTime) return ProcessIdentity{pid, std::stoull(field)};
  }
  return std::nullopt;
}

bool is_running(const ProcessIdentity& process) { return identify_process(process.pid) == process; }

Status signal_process(const ProcessIdentity& process, int signal) {
  if (!is_running(process)) {
    return not_found("process " + std::to_string(process.pid) + " is not running");
  }
  if (::kill(process.pid, signal) != 0) return system_error("cannot signal the process");
  return {};
}

bool wait_gone(const ProcessIdentity& process, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (is_running(process)) {
    if (Clock::now() >= deadline) return false;
    // A child of this process stays as a zombie until it is reaped.
    ::waitpid(process.pid, nullptr, WNOHANG);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace bundle
