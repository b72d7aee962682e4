// A server for one exchange with a client under test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/file.h"

namespace bundle::testing_support {

/// Answers one connection on loopback with fixed bytes, then closes it.
class OneShotServer {
 public:
  /// Reads once, or until the request has `until`.
  explicit OneShotServer(std::string answer, std::string until = "")
      : answer_(std::move(answer)),
        until_(std::move(until)),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneShotServer() { request(); }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// Waits until it has been answered.
  const std::string& request() {
    if (thread_.joinable()) thread_.join();
    return request_;
  }

 private:
  void serve() {
    const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string piece(65536, '\0');
    do {
      const ssize_t n = ::read(peer.get(), piece.data(), piece.size());
      if (n <= 0) break;
      request_.append(piece, 0, static_cast<std::size_t>(n));
    } while (request_.find(until_) == std::string::npos);
    [[maybe_unused]] const ssize_t sent =
        ::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
  }

  const std::string answer_;
  const std::string until_;
  const Fd listener_;
  int port_ = 0;
  std::string request_;
  std::thread thread_;
};

}  // namespace bundle::testing_support
