#include "base/base64.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(Base64, EncodesAsTheStandardDoes) {
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64_encode(std::string_view("\0\xff\xfe", 3)), "AP/+");
}

TEST(Base64, DecodesWhatItEncodes) {
  std::string bytes;
  for (int n = 0; n < 300; ++n) {
    EXPECT_EQ(*base64_decode(base64_encode(bytes), ""), bytes);
    bytes += static_cast<char>(n * 37);
  }
}

TEST(Base64, RefusesEverySecondSpelling) {
  for (const char* text : {"Zg", "Zg=", "Zg===", "Zh==", "Z g=", "Zg==\n", " Zg=", "Zm8_",
                           "====", "=Zg=", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text, "")) << text;
  }
}

}  // namespace
}  // namespace bundle
