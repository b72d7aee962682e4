#include <atomic>
#include <gtest/gtest.h>

#include "cloud/kubernetes/api.h"
#include "tests/packager/fake_server.h"

namespace bundle::cloud {
namespace {

using packager::sample::FakeAnswer;
using packager::sample::FakeRequest;
using packager::sample::FakeServer;

KubernetesApi api_of(const FakeServer& server) {
  ClusterAccess access;
  access.server = "http://" + server.address();
  return KubernetesApi(std::move(access));
}

TEST(KubernetesApi, AsksABusyServerAgain) {
  std::atomic<int> asked = 0;
  const FakeServer server([&](const FakeRequest&) {
    return ++asked < 3 ? FakeAnswer{.status = asked == 1 ? 429 : 503} : FakeAnswer{.body = "{}"};
  });
  EXPECT_TRUE(api_of(server).get("/api"));
  EXPECT_EQ(asked, 3);
}

TEST(KubernetesApi, GivesUpWithWhatToDo) {
  const FakeServer server([](const FakeRequest&) { return FakeAnswer{.status = 500}; });
  const auto answer = api_of(server).get("/api");
  ASSERT_TRUE(answer.has_error());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnreachable);
  EXPECT_NE(answer.error().remedy, "");
  EXPECT_EQ(server.requests().size(), 5u);
}

TEST(KubernetesApi, APageIsNoAnswer) {
  for (const FakeAnswer& odd :
       {FakeAnswer{.body = "<html>login</html>"}, FakeAnswer{.status = 302, .body = "elsewhere"}}) {
    const FakeServer server([&](const FakeRequest&) { return odd; });
    const auto answer = api_of(server).get("/version");
    ASSERT_TRUE(answer.has_error());
    EXPECT_EQ(answer.error().code, ErrorCode::kUnreachable);
    EXPECT_NE(answer.error().remedy, "");
  }
}

TEST(KubernetesApi, ALogEndsWhenNobodyWantsIt) {
  const FakeServer server(
      [](const FakeRequest&) { return FakeAnswer{.body = "a line\n", .endless = 1u << 30}; });
  int pieces = 0;
  const Status done = api_of(server).stream("/log", [&](std::string_view) { return ++pieces < 3; });
  EXPECT_EQ(done.error().code, ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace bundle::cloud
