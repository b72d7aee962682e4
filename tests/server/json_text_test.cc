#include "runtime/server/json_text.h"

#include <gtest/gtest.h>
#include <limits>

#include "base/json.h"

namespace bundle::server {
namespace {

TEST(JsonText, EscapesSoThatItReadsBackEqual) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "é€😀";
  std::string out;
  append_json(out, all);
  const auto parsed = parse_json(out, "text");
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->as_string(), all);
}

TEST(JsonText, WritesNumbers) {
  std::string out;
  append_json(out, std::numeric_limits<std::int64_t>::min());
  out += ' ';
  append_json(out, -0.1f);
  out += ' ';
  append_json(out, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(out, "-9223372036854775808 -0.1 null");
}

}  // namespace
}  // namespace bundle::server
