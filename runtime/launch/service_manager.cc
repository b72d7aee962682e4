#include "runtime/launch/service_manager.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace bundle::launch {
namespace {

constexpr int kFirstSocket = 3;
constexpr int kMostSockets = 16;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<long> number(const std::string& text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

/// A variable that is meant for this process: for any, or naming its id.
bool is_ours(const char* pid_variable) {
  const std::string pid = variable(pid_variable);
  return pid.empty() || number(pid) == ::getpid();
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    parts.push_back(text.substr(0, text.find(':')));
    text.remove_prefix(std::min(text.size(), parts.back().size() + 1));
  }
  return parts;
}

}  // namespace

ServiceManager::ServiceManager() : address_(variable("NOTIFY_SOCKET")) {
  const auto count = number(variable("LISTEN_FDS"));
  if (count && *count > 0 && *count <= kMostSockets && !variable("LISTEN_PID").empty() &&
      is_ours("LISTEN_PID")) {
    sockets_ = static_cast<int>(*count);
    names_ = variable("LISTEN_FDNAMES");
    // The engine process must not hold them.
    for (int i = 0; i < sockets_; ++i) ::fcntl(kFirstSocket + i, F_SETFD, FD_CLOEXEC);
  }
  const auto microseconds = number(variable("WATCHDOG_USEC"));
  if (microseconds && *microseconds > 0 && is_ours("WATCHDOG_PID")) {
    interval_ = std::chrono::milliseconds(std::max(*microseconds / 2000, 1L));
  }
}

std::optional<int> ServiceManager::socket(std::string_view name) const {
  const auto names = split(names_);
  const auto name_of = [&](int i) {
    return static_cast<std::size_t>(i) < names.size() ? names[static_cast<std::size_t>(i)]
                                                      : std::string_view("unknown");
  };
  for (int i = 0; i < sockets_; ++i) {
    if (name_of(i) == name) return kFirstSocket + i;
  }
  for (int i = 0; name == "http" && i < sockets_; ++i) {
    if (name_of(i) != "admin") return kFirstSocket + i;
  }
  return std::nullopt;
}

void ServiceManager::ready(const std::string& status) const {
  send("READY=1\nSTATUS=" + status + "\nMAINPID=" + std::to_string(::getpid()));
}

void ServiceManager::status(const std::string& status) const { send("STATUS=" + status); }

void ServiceManager::reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send("RELOADING=1\nMONOTONIC_USEC=" +
       std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::stopping() const { send("STOPPING=1\nSTATUS=draining"); }
void ServiceManager::heartbeat() const { send("WATCHDOG=1"); }

void ServiceManager::send(const std::string& message) const {
  sockaddr_un address{};
  if (address_.size() < 2 || address_.size() >= sizeof address.sun_path) return;
  if (address_[0] != '/' && address_[0] != '@') return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (address_[0] == '@') address.sun_path[0] = '\0';  // the abstract name space
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&address), length);
  ::close(fd);
}

}  // namespace bundle::launch
