#include "base/url.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(Url, IsTakenApart) {
  const auto url = parse_url("https://Registry.example.com:5000/v2/a?x=1&y=2#part");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->origin(), "https://registry.example.com:5000");
  EXPECT_EQ(url->path, "/v2/a");
  EXPECT_EQ(url->query, "x=1&y=2");
  EXPECT_EQ(url->text(), "https://registry.example.com:5000/v2/a?x=1&y=2");
  EXPECT_EQ(parse_url("https://a.example:443/")->origin(), "https://a.example");
  EXPECT_EQ(parse_url("http://[::1]:8/")->host, "[::1]");
}

TEST(Url, RefusesWhatIsNotFetched) {
  for (const char* text :
       {"", "a.example", "file:///etc/passwd", "ftp://a/", "https://", "https://user:pw@a/",
        "https://a/b c", "https://a/\nb", "https://a\\b/", "https://a:99999/"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

TEST(Url, ResolvesLocations) {
  const Url base = *parse_url("https://a.example/v2/x/blobs/1?q=1");
  EXPECT_EQ(resolve_url(base, "/y?z=2")->text(), "https://a.example/y?z=2");
  EXPECT_EQ(resolve_url(base, "https://b.example/z")->origin(), "https://b.example");
  EXPECT_EQ(resolve_url(base, "//c.example/z")->origin(), "https://c.example");
  EXPECT_FALSE(resolve_url(base, "file:///etc/passwd"));
  EXPECT_FALSE(resolve_url(base, ""));
}

TEST(Url, KnowsThisMachine) {
  EXPECT_TRUE(is_loopback(*parse_url("http://127.0.0.1:80/")));
  EXPECT_TRUE(is_loopback(*parse_url("http://localhost/")));
  EXPECT_FALSE(is_loopback(*parse_url("http://127.0.0.1.evil.example/")));
}

TEST(Url, EncodesParts) { EXPECT_EQ(percent_encode("a b/é+~"), "a%20b%2F%C3%A9%2B~"); }

}  // namespace
}  // namespace bundle
