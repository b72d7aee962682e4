#include "runtime/launch/engine_start.h"

#include <csignal>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/launch/engine_child.h"

namespace bundle::launch {
namespace {

constexpr std::uint64_t kMostSpec = 64u << 20;

}  // namespace

/// Signals of a terminal or a service manager reach the whole group, but the supervisor decides
/// when the engine ends. Without a supervisor there is nothing to live for.
Status settle_process(int parent, const char* name) {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return system_error("cannot watch the supervisor");
  ::prctl(PR_SET_NAME, name);
  if (::getppid() != parent) return failed("the supervisor is gone");
  return {};
}

Result<std::string> read_spec() {
  const Fd spec(kSpecFd);
  return read_file("/proc/self/fd/" + std::to_string(kSpecFd), kMostSpec);
}

}  // namespace bundle::launch
