#include "tests/packager/fake_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace bundle::packager::sample {
namespace {

bool send_all(int peer, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// Reads one request; false at the connection's end.
bool read_request(int peer, std::string& rest, FakeRequest& request) {
  const auto more = [&] {
    char buffer[65536];
    const ssize_t n = ::recv(peer, buffer, sizeof buffer, 0);
    if (n > 0) rest.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  };
  std::size_t end = 0;
  while ((end = rest.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return false;
  }
  const std::string head = rest.substr(0, end + 2);
  rest.erase(0, end + 4);
  request.method = head.substr(0, head.find(' '));
  const std::size_t target = head.find(' ') + 1;
  request.target = head.substr(target, head.find(' ', target) - target);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t line = head.find("\r\n", at);
    const std::size_t colon = head.find(':', at);
    std::string name = head.substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers[name] = head.substr(colon + 2, line - colon - 2);
    at = line + 2;
  }
  const std::string length = request.header("content-length");
  const std::size_t size = length.empty() ? 0 : std::stoull(length);
  while (rest.size() < size) {
    if (!more()) return false;
  }
  request.body = rest.substr(0, size);
  rest.erase(0, size);
  return true;
}

std::string head_of(const FakeAnswer& answer) {
  std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\n";
  for (const auto& [name, value] : answer.headers) head += name + ": " + value + "\r\n";
  if (!answer.no_length && !answer.headers.contains("Content-Length")) {
    head += "Content-Length: " + std::to_string(answer.body.size() + answer.endless) + "\r\n";
  }
  return head + "Connection: close\r\n\r\n";
}

}  // namespace

FakeAnswer serve_bytes(const FakeRequest& request, const std::string& bytes) {
  FakeAnswer answer;
  answer.headers["Accept-Ranges"] = "bytes";
  const std::string range = request.header("range");
  if (range.empty()) {
    answer.body = bytes;
    return answer;
  }
  const std::size_t dash = range.find('-');
  const std::size_t first = std::stoull(range.substr(6, dash - 6));
  const std::size_t last =
      std::min<std::size_t>(std::stoull(range.substr(dash + 1)), bytes.size() - 1);
  answer.status = 206;
  answer.headers["Content-Range"] = "bytes " + std::to_string(first) + '-' + std::to_string(last) +
                                    '/' + std::to_string(bytes.size());
  answer.body = bytes.substr(first, last - first + 1);
  return answer;
}

FakeServer::FakeServer(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port for a server");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& worker : workers_) worker.join();
}

std::vector<FakeRequest> FakeServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeServer::accept_all() {
  while (!stopping_) {
    const int peer = ::accept(listener_.get(), nullptr, nullptr);
    if (peer >= 0) workers_.emplace_back([this, peer] { serve(peer); });
  }
}

void FakeServer::serve(int peer) {
  const Fd owner(peer);
  std::string rest;
  FakeRequest request;
  if (!read_request(peer, rest, request)) return;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const FakeAnswer answer = handler_(request);
  if (!send_all(peer, head_of(answer)) || request.method == "HEAD") return;
  if (!send_all(peer, std::string_view(answer.body).substr(0, answer.body.size() - answer.cut))) {
    return;
  }
  const std::string filler(1u << 20, 'x');
  for (std::uint64_t left = answer.endless; left > 0 && !stopping_;) {
    const std::uint64_t part = std::min<std::uint64_t>(left, filler.size());
    if (!send_all(peer, std::string_view(filler).substr(0, part))) return;
    left -= part;
  }
}

}  // namespace bundle::packager::sample
