#include "runtime/tokenizer/rank_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "runtime/tokenizer/base64.h"

namespace bundle::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(i + j > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * j) & 63]);
    }
  }
  return text;
}

// All bytes, then the given tokens.
std::string ranks(const std::vector<std::string>& tokens) {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) {
    text += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(byte) + "\n";
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    text += base64(tokens[i]) + " " + std::to_string(256 + i) + "\n";
  }
  return text;
}

TEST(Base64, ReadsWhatItShouldAndNothingElse) {
  EXPECT_EQ(decode_base64("aGk="), "hi");
  EXPECT_EQ(decode_base64("aGkh"), "hi!");
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("a"), std::nullopt);
  EXPECT_EQ(decode_base64("a-b_"), std::nullopt);
}

TEST(RankFile, JoinsInRankOrder) {
  const std::string text = ranks({"bc", "ab", "abc", " a"});
  ASSERT_TRUE(looks_like_ranks(text));
  const auto tokenizer = *load_ranks(text, "llama3", false, "tokenizer.model");
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(258));
  EXPECT_THAT(tokenizer->encode("abcd"), ElementsAre(258, 100));
  EXPECT_THAT(tokenizer->encode("é"), ElementsAre(0xc3, 0xa9));
  EXPECT_EQ(tokenizer->decode(std::vector{259, 0xc3, 0xa9}, false), " aé");
}

TEST(RankFile, TheHintBringsSpecialTokens) {
  const std::string text = ranks({});
  const auto llama = *load_ranks(text, "Llama-3.1-8B", true, "tokenizer.model");
  EXPECT_THAT(llama->encode("a<|eot_id|>"), ElementsAre(256, 97, 265));
  EXPECT_EQ(llama->bos_id(), 256);
  EXPECT_EQ(llama->vocab_size(), 512);
  const auto qwen = *load_ranks(text, "qwen", false, "qwen.tiktoken");
  EXPECT_THAT(qwen->encode("<|im_start|>e\u0301"), ElementsAre(257, 0xc3, 0xa9));
  EXPECT_EQ((*load_ranks(text, "llama4", false, "x"))->vocab_size(), 256 + 2048);
  EXPECT_EQ((*load_ranks(text, "kimi", false, "x"))->vocab_size(), 512);
}

TEST(RankFile, RefusesUnknownAndDamagedFiles) {
  EXPECT_THAT(load_ranks(ranks({}), "", false, "x").error().message(), HasSubstr("256 ranks"));
  EXPECT_THAT(load_ranks(ranks({}), "martian", false, "x").error().message(), HasSubstr("qwen"));
  EXPECT_THAT(load_ranks("aGk= 0\nnonsense\n", "qwen", false, "x").error().message(),
              HasSubstr("line 2"));
  EXPECT_TRUE(load_ranks("aGk= -1\n", "qwen", false, "x").has_error());
  EXPECT_TRUE(load_ranks("aGk= 99999999999999999999\n", "qwen", false, "x").has_error());
  EXPECT_FALSE(looks_like_ranks("hello world"));
}

std::string tekken(const std::string& specials, int size, int special) {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    vocab += std::string(byte > 0 ? "," : "") + R"({"rank":)" + std::to_string(byte) +
             R"(,"token_bytes":")" + base64(std::string(1, static_cast<char>(byte))) +
             R"(","token_str":null})";
  }
  return R"({"config":{"pattern":"\\p{L}+|\\s+|[^\\p{L}\\s]+","default_vocab_size":)" +
         std::to_string(size) + R"(,"default_num_special_tokens":)" + std::to_string(special) +
         R"(,"version":"v3"},"special_tokens":)" + specials + R"(,"vocab":[)" + vocab + "]}";
}

Result<std::shared_ptr<const Tokenizer>> load(const std::string& text) {
  const JsonTables tables = cut_tables(text);
  BUNDLE_TRY(const Json document, parse_json(tables.rest, "tekken.json"));
  EXPECT_TRUE(looks_like_tekken(document));
  return load_tekken(document, tables, true, "tekken.json");
}

TEST(Tekken, PutsSpecialTokensFirst) {
  const auto tokenizer = *load(tekken("null", 286, 30));
  EXPECT_THAT(tokenizer->encode("a[INST]"), ElementsAre(1, 127, 3));
  EXPECT_EQ(tokenizer->token_text(25), "<SPECIAL_25>");
  EXPECT_THAT(tokenizer->encode("</s>", {.add_special = false, .parse_special = false}),
              ElementsAre(90, 77, 145, 92));
}

TEST(Tekken, RefusesSizesThatLie) {
  EXPECT_TRUE(load(tekken("null", 287, 30)).has_error());
  EXPECT_TRUE(load(tekken("null", 256, 10)).has_error());
  EXPECT_TRUE(load(tekken("null", 10, 30)).has_error());
  EXPECT_TRUE(load(tekken("7", 286, 30)).has_error());
}

}  // namespace
}  // namespace bundle::tokenizer
