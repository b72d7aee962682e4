#include "cli/open_stream.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

namespace bundle::cli {
namespace {

constexpr char kHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
constexpr char kText[] = R"(data: {"choices":[{"delta":{"content":"Rome"}}]})"
                         "\n\n";
constexpr char kEnd[] = R"(data: {"choices":[{"delta":{},"finish_reason":"length"}]})"
                        "\n\n";

/// Takes one connection, keeps its request, and sends an answer.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : answer_(std::move(answer)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() { thread_.join(); }

  const std::string& url() const { return url_; }
  std::string request;

 private:
  void serve() {
    const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string piece(65536, '\0');
    while (request.find("ignore_eos") == std::string::npos) {
      const ssize_t n = ::read(peer.get(), piece.data(), piece.size());
      if (n <= 0) break;
      request.append(piece, 0, static_cast<std::size_t>(n));
    }
    [[maybe_unused]] const auto sent =
        ::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
  }

  const std::string answer_;
  std::string url_;
  Fd listener_;
  std::thread thread_;
};

StreamReport stream_of(const std::string& answer) {
  OneAnswer server(answer);
  OpenStream stream({server.url(), "Tell me.", "", 8});
  return stream.wait();
}

TEST(OpenStream, IsWholeWithAReasonAndTheEndMark) {
  OneAnswer server(std::string(kHead) + kText + kEnd + "data: [DONE]\n\n");
  OpenStream stream({server.url(), "Say \"x\"", "k", 8});
  const StreamReport report = stream.wait();
  EXPECT_TRUE(report.whole) << report.error;
  EXPECT_EQ(report.text, "Rome");
  EXPECT_EQ(report.error, "");
  EXPECT_TRUE(stream.begun() && stream.over());
  EXPECT_NE(server.request.find("Authorization: Bearer k\r\n"), std::string::npos);
  EXPECT_NE(server.request.find(R"(Say \"x\")"), std::string::npos) << server.request;
}

TEST(OpenStream, EveryOtherEndIsACut) {
  const std::string head = kHead;
  for (const std::string& answer :
       {head + kText,                       // the connection ends
        head + kText + kEnd,                // no end mark
        head + kText + "data: [DONE]\n\n",  // no reason to finish
        head + kText + R"(data: {"error":{"message":"The server is shutting down."}})" + "\n\n" +
            kEnd + "data: [DONE]\n\n",  // an error in the stream
        head + "data: {broken\n\n",     // no JSON
        std::string("HTTP/1.1 503 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"),
        std::string()}) {
    const StreamReport report = stream_of(answer);
    EXPECT_FALSE(report.whole) << answer;
    EXPECT_FALSE(report.error.empty()) << answer;
  }
}

TEST(OpenStream, AServerThatIsAwayIsSaid) {
  OpenStream stream({"http://127.0.0.1:1", "x", "", 1});
  EXPECT_FALSE(stream.wait().whole);
  EXPECT_FALSE(stream.begun());
}

}  // namespace
}  // namespace bundle::cli
