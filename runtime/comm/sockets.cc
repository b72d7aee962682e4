#include "runtime/comm/sockets.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <vector>

#include "runtime/comm/lost.h"

namespace bundle::comm {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

constexpr int kBacklog = 128;
constexpr int kIdleSeconds = 6, kProbeSeconds = 3, kProbes = 3;

Error last_error(const std::string& what, std::string where) {
  Error error = system_error(what, std::move(where));
  error.code = ErrorCode::kUnreachable;
  return error;
}

Result<Addresses> look_up(const std::string& host, std::uint16_t port, int flags) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                    std::to_string(port).c_str(), &wanted, &found);
  if (failure != 0) {
    return lost(std::string("no address: ") + ::gai_strerror(failure), host);
  }
  return Addresses(found, &::freeaddrinfo);
}

Fd make_socket(int family) {
  return Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void set(const Fd& socket, int level, int name, int value) {
  ::setsockopt(socket.get(), level, name, &value, sizeof(value));
}

Result<Fd> listen_at(const addrinfo& address, const std::string& text) {
  Fd socket = make_socket(address.ai_family);
  if (!socket) return last_error("cannot make a socket", text);
  set(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.ai_family == AF_INET6) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return last_error("cannot listen", text);
  }
  return socket;
}

/// All addresses of both versions, where the machine has both.
Result<Fd> listen_everywhere(std::uint16_t port) {
  sockaddr_in6 six = {};
  six.sin6_family = AF_INET6;
  six.sin6_addr = in6addr_any;
  six.sin6_port = htons(port);
  addrinfo address = {};
  address.ai_family = AF_INET6;
  address.ai_addr = reinterpret_cast<sockaddr*>(&six);
  address.ai_addrlen = sizeof(six);
  const std::string text = "port " + std::to_string(port);
  if (auto both = listen_at(address, text)) return both;
  sockaddr_in four = {};
  four.sin_family = AF_INET;
  four.sin_addr.s_addr = htonl(INADDR_ANY);
  four.sin_port = htons(port);
  address.ai_family = AF_INET;
  address.ai_addr = reinterpret_cast<sockaddr*>(&four);
  address.ai_addrlen = sizeof(four);
  return listen_at(address, text);
}

using NameFunction = int (*)(int, sockaddr*, socklen_t*);

std::string host_of(int socket, NameFunction name, std::uint16_t* port = nullptr) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (name(socket, any, &size) != 0 ||
      ::getnameinfo(any, size, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  if (port != nullptr) *port = static_cast<std::uint16_t>(std::strtoul(service, nullptr, 10));
  // An address of version 4 that came to a socket of both.
  constexpr std::string_view kMapped = "::ffff:";
  const std::string text = host;
  return text.starts_with(kMapped) ? text.substr(kMapped.size()) : text;
}

}  // namespace

bool is_numeric_address(const std::string& host) {
  return look_up(host, 0, AI_NUMERICHOST).has_value() && !host.empty();
}

bool is_loopback_address(const std::string& host) {
  in_addr four = {};
  in6_addr six = {};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

std::string address_text(const std::string& host, std::uint16_t port) {
  const bool six = host.find(':') != std::string::npos;
  return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Fd> listen_on(const std::string& host, std::uint16_t port) {
  if (host.empty()) return listen_everywhere(port);
  BUNDLE_TRY(const Addresses addresses, look_up(host, port, AI_NUMERICHOST | AI_PASSIVE));
  return listen_at(*addresses, address_text(host, port));
}

Result<Fd> start_connecting(const std::string& host, std::uint16_t port,
                            const std::string& own_host, int attempt) {
  BUNDLE_TRY(const Addresses found, look_up(host, port, 0));
  std::vector<const addrinfo*> all;
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) all.push_back(one);
  const addrinfo& address = *all[static_cast<std::size_t>(attempt) % all.size()];
  Fd socket = make_socket(address.ai_family);
  if (!socket) return last_error("cannot make a socket", host);
  if (!own_host.empty()) {
    BUNDLE_TRY(const Addresses own, look_up(own_host, 0, 0));
    if (::bind(socket.get(), own->ai_addr, own->ai_addrlen) != 0) {
      return last_error("cannot connect from this address", own_host);
    }
  }
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS) {
    return last_error("cannot connect", address_text(host, port));
  }
  return socket;
}

Status check_connected(int socket) {
  int failure = 0;
  socklen_t size = sizeof(failure);
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &failure, &size);
  if (failure == 0) return {};
  errno = failure;
  return last_error("cannot connect", "");
}

Fd accept_one(const Fd& listener) {
  return Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

std::uint16_t own_port(const Fd& socket) {
  std::uint16_t port = 0;
  host_of(socket.get(), &::getsockname, &port);
  return port;
}

std::string own_host_of(int socket) { return host_of(socket, &::getsockname); }

std::string peer_host_of(int socket) { return host_of(socket, &::getpeername); }

void settle_link(const Fd& socket) {
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, kIdleSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, kProbeSeconds);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

}  // namespace bundle::comm
