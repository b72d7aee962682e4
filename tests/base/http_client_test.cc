#include "base/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/file.h"

namespace bundle {
namespace {

/// Answers one connection on loopback with fixed bytes, then closes it.
class OneShotServer {
 public:
  explicit OneShotServer(std::string answer) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] { serve(answer); });
  }
  ~OneShotServer() { thread_.join(); }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/x"; }
  const std::string& request() const { return request_; }

 private:
  void serve(const std::string& answer) {
    const Fd peer(::accept(listener_.get(), nullptr, nullptr));
    char buffer[4096];
    const ssize_t n = ::read(peer.get(), buffer, sizeof buffer);
    if (n > 0) request_.assign(buffer, static_cast<std::size_t>(n));
    [[maybe_unused]] const ssize_t sent =
        ::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  }

  Fd listener_;
  int port_ = 0;
  std::string request_;
  std::thread thread_;
};

TEST(HttpClient, GivesStatusHeadersAndBody) {
  OneShotServer server("HTTP/1.1 404 Not Found\r\nX-Thing:  a b \r\nContent-Length: 2\r\n\r\nno");
  const auto response = http_request({.url = server.url()});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "no");
  EXPECT_EQ(response->headers.at(0), (std::pair<std::string, std::string>("x-thing", "a b")));
}

TEST(HttpClient, RefusesABodyOverTheCap) {
  OneShotServer server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  const auto response = http_request({.url = server.url(), .max_body = 4});
  ASSERT_TRUE(response.has_error());
  EXPECT_EQ(response.error().code, ErrorCode::kBadInput);
}

TEST(HttpClient, AClosedPortIsUnreachable) {
  const auto response = http_request({.url = "http://127.0.0.1:1/"});
  ASSERT_TRUE(response.has_error());
  EXPECT_EQ(response.error().code, ErrorCode::kUnreachable);
}

TEST(HttpClient, FilesAreNotFetched) {
  EXPECT_TRUE(http_request({.url = "file:///etc/passwd"}).has_error());
}

TEST(HttpClient, StreamsPiecesAndCanBeStopped) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  std::string got;
  {
    OneShotServer server(answer);
    const auto all = http_stream({.url = server.url()}, [&](std::string_view piece) {
      got += piece;
      return true;
    });
    ASSERT_TRUE(all);
    EXPECT_EQ(got, "hello");
    EXPECT_EQ(all->body, "");
  }
  OneShotServer server(answer);
  const auto stopped = http_stream({.url = server.url()}, [](std::string_view) { return false; });
  ASSERT_TRUE(stopped.has_error());
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
}

TEST(EventStream, JoinsDataLinesAndSkipsComments) {
  EventStreamParser parser;
  std::vector<std::string> events;
  const auto keep = [&](std::string_view data) {
    events.emplace_back(data);
    return data != "[DONE]";
  };
  EXPECT_TRUE(parser.push(": keep-alive\n\nda", keep));
  EXPECT_TRUE(parser.push("ta: {\"a\":1}\r\n\r\ndata:x\ndata: y\n\n", keep));
  EXPECT_FALSE(parser.push("data: [DONE]\n\n", keep));
  EXPECT_EQ(events, (std::vector<std::string>{"{\"a\":1}", "x\ny", "[DONE]"}));
}

}  // namespace
}  // namespace bundle
