#include "tests/server/http_sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bundle::server {

HttpSink::HttpSink() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
  ::listen(listener_, 16);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { loop(); });
}

HttpSink::~HttpSink() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

std::string HttpSink::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<std::string> HttpSink::wait_for(std::size_t count) const {
  for (int i = 0; i < 1000; ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (bodies_.size() >= count) return bodies_;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const std::lock_guard lock(mutex_);
  return bodies_;
}

void HttpSink::loop() {
  while (!stop_) {
    pollfd wanted{listener_, POLLIN, 0};
    if (::poll(&wanted, 1, 50) <= 0) continue;
    const int connection = ::accept(listener_, nullptr, nullptr);
    take(connection);
    ::close(connection);
  }
}

void HttpSink::take(int connection) {
  std::string bytes;
  std::size_t wanted = std::string::npos;
  char piece[4096];
  while (bytes.size() < wanted) {
    const ssize_t n = ::recv(connection, piece, sizeof piece, 0);
    if (n <= 0) return;
    bytes.append(piece, static_cast<std::size_t>(n));
    const std::size_t end = bytes.find("\r\n\r\n");
    const std::size_t field = bytes.find("Content-Length: ");
    if (end != bytes.npos && field < end) wanted = end + 4 + std::stoul(bytes.substr(field + 16));
  }
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
  ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
  const std::lock_guard lock(mutex_);
  bodies_.push_back(bytes.substr(bytes.find("\r\n\r\n") + 4));
}

}  // namespace bundle::server
