#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/server/page_files.h"
#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

using testing::HasSubstr;

TEST(Page, ItsFilesNeedNoKey) {
  ServerOptions options;
  options.api_keys = {plain_key("secret")};
  const TestServer server(options);
  const RawResponse page = server.exchange(get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<!doctype html>"));
  EXPECT_THAT(page.field("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(page.field("x-content-type-options"), "nosniff");
  for (const PageFile& file : page_files()) {
    const RawResponse part = server.exchange(get("/page/" + std::string(file.name)));
    EXPECT_EQ(part.status, 200) << file.name;
    EXPECT_EQ(part.body, file.bytes);
  }
  EXPECT_EQ(server.exchange(get("/page/app.js")).field("content-type"),
            "text/javascript; charset=utf-8");
}

TEST(Page, IsSentOnce) {
  const TestServer server;
  const std::string tag = server.exchange(get("/page/app.js")).field("etag");
  const RawResponse again = server.exchange(get("/page/app.js", "If-None-Match: " + tag + "\r\n"));
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(again.field("content-length"), "");
}

TEST(Page, HasNoOtherFiles) {
  const TestServer server;
  for (const char* path : {"/page/../api.cc", "/page/%2e%2e/api.cc", "/page/none.js", "/page"}) {
    EXPECT_EQ(server.exchange(get(path)).status, 404) << path;
  }
}

TEST(Page, CanBeTurnedOff) {
  ServerOptions options;
  options.page = false;
  const TestServer server(options);
  EXPECT_EQ(server.exchange(get("/")).status, 404);
}

}  // namespace
}  // namespace bundle::server
