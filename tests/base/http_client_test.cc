#include "base/http_client.h"

#include <gtest/gtest.h>

#include "tests/base/one_shot_server.h"

namespace bundle {
namespace {

using testing_support::OneShotServer;

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
