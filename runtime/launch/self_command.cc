#include "runtime/launch/self_command.h"

#include <algorithm>

namespace bundle::launch {

Result<Command> self_command(std::string_view cmdline, int argc) {
  Command command{"/proc/self/exe", {}};
  while (!cmdline.empty()) {
    const std::string_view word = cmdline.substr(0, cmdline.find('\0'));
    command.arguments.emplace_back(word);
    cmdline.remove_prefix(std::min(cmdline.size(), word.size() + 1));
  }
  const auto own = static_cast<std::size_t>(argc);
  if (argc < 1 || command.arguments.size() < own) {
    return failed("cannot tell how this program was started", "/proc/self/cmdline");
  }
  command.arguments.resize(command.arguments.size() - own + 1);
  return command;
}

Result<Command> self_command(int argc) {
  BUNDLE_TRY(const std::string cmdline, read_file("/proc/self/cmdline"));
  return self_command(cmdline, argc);
}

}  // namespace bundle::launch
