#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "base/text.h"
#include "runtime/tokenizer/hf_json.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::tokenizer {
namespace {

using TokenizerPtr = std::shared_ptr<const Tokenizer>;

TokenizerPtr load(const std::string& text) {
  const JsonTables tables = cut_tables(text);
  const auto document = parse_json(tables.rest, "tokenizer.json");
  EXPECT_FALSE(document.has_error()) << document.error().message();
  auto loaded = load_hf_json(*document, tables, "tokenizer.json");
  EXPECT_FALSE(loaded.has_error()) << loaded.error().message();
  return *loaded;
}

std::string vocab(const std::vector<std::string>& spellings) {
  std::string text;
  for (std::size_t i = 0; i < spellings.size(); ++i) {
    text += (i > 0 ? "," : "") + print_json(Json(spellings[i])) + ":" + std::to_string(i);
  }
  return R"("added_tokens":[{"id":50,"content":"<end>","special":true}],
            "model":{"type":"BPE","merges":[],"vocab":{)" +
         text + "}}";
}

// The bytes of "é", "字" and "😀" apart, words with and without a space.
TokenizerPtr byte_level() {
  return load(R"({"decoder":{"type":"ByteLevel"},)" +
              vocab({"a", "Ġb", "Ã", "©", "å", "Ń", "Ĺ", "ð", "Ł", "ĺ", "Ģ", "Ġ"}) + "}");
}

TokenizerPtr llama() {
  return load(R"({"decoder":{"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},)" +
              vocab({"▁a", "b", "▁", "<0xC3>", "<0xA9>", "▁▁", "<0xF0>", "字"}) + "}");
}

TokenizerPtr word_piece() {
  return load(R"({"decoder":{"type":"WordPiece","prefix":"##","cleanup":false},)" +
              vocab({"a", "##b", "é", "##😀"}) + "}");
}

TokenizerPtr suffixed() {
  return load(R"({"decoder":{"type":"BPEDecoder","suffix":"</w>"},)" +
              vocab({"a</w>", "b", "é</w>"}) + "}");
}

TEST(Detokenizer, EmitsWholeCharactersOnly) {
  Detokenizer stream(byte_level(), false);
  EXPECT_EQ(stream.push(0), "a");
  EXPECT_EQ(stream.push(2), "");
  EXPECT_EQ(stream.push(3), "é");
  EXPECT_EQ(stream.push(4), "");
  EXPECT_EQ(stream.push(5), "");
  EXPECT_EQ(stream.push(6), "字");
  EXPECT_EQ(stream.push(7), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Detokenizer, TakesTheFirstSpaceOnly) {
  Detokenizer stream(llama(), false);
  EXPECT_EQ(stream.push(0), "a");
  EXPECT_EQ(stream.push(0), " a");
  EXPECT_EQ(stream.push(5), "  ");
  Detokenizer second(llama(), true);
  EXPECT_EQ(second.push(50), "");
  EXPECT_EQ(second.push(0), "a");
}

TEST(Detokenizer, ConcatenatesToDecode) {
  std::mt19937 random(1);
  for (const TokenizerPtr& tokenizer : {byte_level(), llama(), word_piece(), suffixed()}) {
    for (int round = 0; round < 2000; ++round) {
      std::vector<std::int32_t> ids(random() % 12);
      for (auto& id : ids) {
        const auto pick = static_cast<std::int32_t>(random() % 16);
        id = pick == 15 ? 50 : pick - 1;
      }
      for (const bool skip : {false, true}) {
        Detokenizer stream(tokenizer, skip);
        std::string text;
        for (const std::int32_t id : ids) {
          const std::string part = stream.push(id);
          ASSERT_TRUE(is_valid_utf8(part));
          text += part;
        }
        text += stream.finish();
        ASSERT_EQ(text, replace_invalid_utf8(tokenizer->decode(ids, skip)));
      }
    }
  }
}

// A fake that knows nothing of decode_next still streams.
class Letters final : public Tokenizer {
 public:
  std::vector<std::int32_t> encode(std::string_view, const EncodeOptions&) const override {
    return {};
  }
  std::string decode(std::span<const std::int32_t>, bool) const override { return ""; }
  std::string token_bytes(std::int32_t id) const override {
    return std::string(1, static_cast<char>('a' + id));
  }
  std::string token_text(std::int32_t id) const override { return token_bytes(id); }
  std::optional<std::int32_t> token_id(std::string_view) const override { return std::nullopt; }
  bool is_special(std::int32_t id) const override { return id == 2; }
  std::int32_t vocab_size() const override { return 3; }
  std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  std::optional<std::int32_t> eos_id() const override { return std::nullopt; }
};

TEST(Detokenizer, WorksWithTheDefaultStep) {
  Detokenizer stream(std::make_shared<Letters>(), true);
  EXPECT_EQ(stream.push(0) + stream.push(2) + stream.push(1), "ab");
}

}  // namespace
}  // namespace bundle::tokenizer
