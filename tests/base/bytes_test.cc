#include "base/bytes.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(ByteReader, ReadsLittleEndianInOrder) {
  ByteReader in(as_bytes(std::string_view("\x01\x02\x03\x04\x05", 5)), "f");
  EXPECT_EQ(*in.read<std::uint16_t>("a"), 0x0201);
  EXPECT_EQ(as_text(*in.take(2, "b")), "\x03\x04");
  EXPECT_EQ(in.left(), 1u);
}

TEST(ByteReader, RefusesToReadPastTheEndAndSaysWhere) {
  ByteReader in(as_bytes("abc"), "model.gguf");
  const auto result = in.read<std::uint64_t>("tensor count");
  ASSERT_TRUE(result.has_error());
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_NE(result.error().message().find("tensor count"), std::string::npos);
  EXPECT_NE(result.error().message().find("model.gguf"), std::string::npos);
  EXPECT_EQ(in.left(), 3u);
}

TEST(ByteReader, HugeLengthsDoNotWrap) {
  ByteReader in(as_bytes("abc"), "f");
  ASSERT_TRUE(in.take(1, "x"));
  EXPECT_TRUE(in.take(~std::uint64_t{0}, "name").has_error());
}

}  // namespace
}  // namespace bundle
