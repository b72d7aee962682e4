#include "cli/interrupt.h"

#include <atomic>
#include <csignal>
#include <unistd.h>

#include "base/result.h"

namespace bundle::cli {
namespace {

std::atomic<bool> stop_asked{false};

void on_signal(int) {
  if (stop_asked.exchange(true)) ::_exit(static_cast<int>(ErrorCode::kInterrupted));
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return stop_asked.load(); }

}  // namespace bundle::cli
