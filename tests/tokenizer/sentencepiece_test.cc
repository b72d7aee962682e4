#include "runtime/tokenizer/sentencepiece.h"

#include <bit>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}

std::string bytes_field(int field, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(bytes.size()) + bytes;
}

std::string piece(const std::string& text, float score = 0, PieceType type = PieceType::kNormal) {
  const auto bits = std::bit_cast<std::uint32_t>(score);
  std::string raw(4, '\0');
  std::memcpy(raw.data(), &bits, 4);
  return bytes_field(1, bytes_field(1, text) + varint(2 << 3 | 5) + raw +
                            number(3, static_cast<std::uint64_t>(type)));
}

constexpr int kUnigram = 1;
constexpr int kBpe = 2;

struct Rules {
  bool dummy_prefix = true;
  bool remove_extra = false;
  bool byte_fallback = false;
};

std::string file(const std::string& pieces, int kind, Rules rules = {}) {
  const std::string trainer =
      number(3, static_cast<std::uint64_t>(kind)) + number(35, rules.byte_fallback ? 1 : 0);
  const std::string normalizer =
      number(3, rules.dummy_prefix ? 1 : 0) + number(4, rules.remove_extra ? 1 : 0);
  return pieces + bytes_field(2, trainer) + bytes_field(3, normalizer);
}

std::shared_ptr<const Tokenizer> load(const std::string& bytes, bool add_bos = false) {
  EXPECT_TRUE(looks_like_sentencepiece(bytes));
  auto loaded = load_sentencepiece(bytes, add_bos, "test.model");
  EXPECT_FALSE(loaded.has_error()) << loaded.error().message();
  return *loaded;
}

const std::string kControls = piece("<unk>", 0, PieceType::kUnknown) +
                              piece("<s>", 0, PieceType::kControl) +
                              piece("</s>", 0, PieceType::kControl);

TEST(SentencePiece, BpeJoinsByScore) {
  const auto tokenizer = load(file(kControls + piece("▁", -9) + piece("a", -8) + piece("b", -7) +
                                       piece("▁a", -2) + piece("ab", -1) + piece("▁ab", -3),
                                   kBpe));
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(8));
  EXPECT_THAT(tokenizer->encode("aab a"), ElementsAre(6, 7, 6));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
  EXPECT_THAT(tokenizer->encode("axya"), ElementsAre(6, 0, 4));
  EXPECT_EQ(tokenizer->decode(std::vector{8, 6, 4}, false), "ab aa");
}

TEST(SentencePiece, ControlPiecesAreTextUnlessParsed) {
  const auto tokenizer =
      load(file(kControls + piece("▁") + piece("<") + piece("s") + piece(">"), kBpe), true);
  EXPECT_THAT(tokenizer->encode("<s>", {.add_special = false}), ElementsAre(1));
  EXPECT_THAT(tokenizer->encode("<s>", {.add_special = false, .parse_special = false}),
              ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(tokenizer->encode("s"), ElementsAre(1, 3, 5));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
}

TEST(SentencePiece, FallsBackToBytes) {
  const auto tokenizer = load(file(kControls + piece("▁") + piece("<0xC3>", 0, PieceType::kByte) +
                                       piece("<0xA9>", 0, PieceType::kByte),
                                   kBpe, {.byte_fallback = true}));
  EXPECT_THAT(tokenizer->encode("é"), ElementsAre(3, 4, 5));
  EXPECT_EQ(tokenizer->decode(std::vector{3, 4, 5}, false), "é");
}

TEST(SentencePiece, RemovesExtraSpaces) {
  const std::string pieces = kControls + piece("▁", -3) + piece("a", -2) + piece("▁a", -1);
  EXPECT_THAT(load(file(pieces, kBpe, {.remove_extra = true}))->encode("  a   a "),
              ElementsAre(5, 5));
  EXPECT_THAT(load(file(pieces, kBpe, {.dummy_prefix = false}))->encode("a  a"),
              ElementsAre(4, 3, 5));
  EXPECT_THAT(load(file(pieces, kBpe, {.remove_extra = true}))->encode("   "), IsEmpty());
}

TEST(SentencePiece, KeepsUserDefinedPiecesWhole) {
  const auto tokenizer = load(file(kControls + piece("▁", -3) + piece("a", -2) + piece("xa", -1) +
                                       piece("x", -4) + piece("ax", 0, PieceType::kUserDefined),
                                   kBpe));
  EXPECT_THAT(tokenizer->encode("axa xa"), ElementsAre(3, 7, 4, 3, 5));
}

TEST(SentencePiece, TakesUnusedPiecesApart) {
  const auto tokenizer = load(file(kControls + piece("▁", -5) + piece("a", -4) + piece("b", -4) +
                                       piece("ab", -1, PieceType::kUnused) + piece("abb", -2),
                                   kBpe));
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(3, 4, 5));
  EXPECT_THAT(tokenizer->encode("abb"), ElementsAre(3, 7));
}

TEST(SentencePiece, UnigramTakesTheBestPath) {
  const auto tokenizer = load(file(kControls + piece("▁a", -1.5f) + piece("▁", -1) +
                                       piece("a", -1) + piece("ab", -4) + piece("b", -1),
                                   kUnigram));
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(3, 7));
  EXPECT_THAT(tokenizer->encode("xyb"), ElementsAre(4, 0, 7));
}

TEST(SentencePiece, RefusesDamagedFiles) {
  const std::string whole = file(kControls + piece("▁") + piece("a"), kBpe);
  for (std::size_t length = 1; length < whole.size(); ++length) {
    const auto loaded = load_sentencepiece(whole.substr(0, length), false, "cut.model");
    if (loaded.has_error()) {
      EXPECT_EQ(loaded.error().code, ErrorCode::kBadInput);
      EXPECT_FALSE(loaded.error().where.empty()) << length;
    } else {
      (*loaded)->encode("a b");
    }
  }
  EXPECT_TRUE(load_sentencepiece(file("", kBpe), false, "empty").has_error());
  EXPECT_TRUE(load_sentencepiece(file(kControls, 3), false, "words").has_error());
  EXPECT_TRUE(load_sentencepiece(piece("\xff"), false, "spelling").has_error());
  EXPECT_TRUE(load_sentencepiece(std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10), false,
                                 "length")
                  .has_error());
}

TEST(Charsmap, RefusesAndSurvivesHostileTries) {
  EXPECT_TRUE(Charsmap::parse("").has_error());
  EXPECT_TRUE(Charsmap::parse(std::string("\x03\0\0\0abc", 7)).has_error());
  EXPECT_TRUE(Charsmap::parse(std::string("\xff\xff\xff\x7f", 4)).has_error());
  // Units that point everywhere.
  std::string blob("\x40\0\0\0", 4);
  for (int i = 0; i < 16; ++i) blob += std::string("\x61\xff\xff\x7f", 4);
  blob += std::string("x\0", 2);
  auto map = Charsmap::parse(blob);
  ASSERT_FALSE(map.has_error());
  for (int byte = 1; byte < 256; ++byte) map->longest(std::string(8, static_cast<char>(byte)));
}

}  // namespace
}  // namespace bundle::tokenizer
