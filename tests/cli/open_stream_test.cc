#include "cli/open_stream.h"

#include <gtest/gtest.h>

#include "tests/base/one_shot_server.h"

namespace bundle::cli {
namespace {

using testing_support::OneShotServer;

constexpr char kLastMember[] = "ignore_eos";  // of the request's body
constexpr char kHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
constexpr char kText[] = R"(data: {"choices":[{"delta":{"content":"Rome"}}]})"
                         "\n\n";
constexpr char kEnd[] = R"(data: {"choices":[{"delta":{},"finish_reason":"length"}]})"
                        "\n\n";

StreamReport stream_of(const std::string& answer) {
  OneShotServer server(answer, kLastMember);
  OpenStream stream({server.url(), "Tell me.", "", 8});
  return stream.wait();
}

TEST(OpenStream, IsWholeWithAReasonAndTheEndMark) {
  OneShotServer server(std::string(kHead) + kText + kEnd + "data: [DONE]\n\n", kLastMember);
  OpenStream stream({server.url(), "Say \"x\"", "k", 8});
  const StreamReport report = stream.wait();
  EXPECT_TRUE(report.whole) << report.error;
  EXPECT_EQ(report.text, "Rome");
  EXPECT_EQ(report.error, "");
  EXPECT_TRUE(stream.begun() && stream.over());
  EXPECT_NE(server.request().find("Authorization: Bearer k\r\n"), std::string::npos);
  EXPECT_NE(server.request().find(R"(Say \"x\")"), std::string::npos) << server.request();
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
