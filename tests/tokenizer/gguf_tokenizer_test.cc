#include "runtime/tokenizer/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/tokenizer/known_patterns.h"
#include "runtime/tokenizer/regex.h"

namespace bundle::tokenizer {
namespace {

using format::GgufMetadata;
using format::GgufValue;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Values = std::map<std::string, GgufValue, std::less<>>;
using Strings = std::vector<std::string>;
using Ints = std::vector<std::int64_t>;

Values byte_level() {
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string("gpt-2")},
          {"tokenizer.ggml.tokens", Strings{"a", "b", "ab", "Ġ", "Ġab", "<|end|>", "1", "<u>"}},
          {"tokenizer.ggml.token_type", Ints{1, 1, 1, 1, 1, 3, 1, 4}},
          {"tokenizer.ggml.merges", Strings{"a b", "Ġ ab", "x y"}},
          {"tokenizer.ggml.eos_token_id", std::uint64_t{5}}};
}

Result<std::shared_ptr<const Tokenizer>> load(Values values) {
  return load_gguf_tokenizer(GgufMetadata(std::move(values)), "test.gguf");
}

TEST(GgufTokenizer, ReadsByteLevelBpe) {
  const auto tokenizer = *load(byte_level());
  EXPECT_THAT(tokenizer->encode("ab ab1<|end|><u>"), ElementsAre(2, 4, 6, 5, 7));
  EXPECT_EQ(tokenizer->decode(std::vector{2, 4, 5}, false), "ab ab<|end|>");
  EXPECT_EQ(tokenizer->decode(std::vector{2, 4, 5}, true), "ab ab");
  EXPECT_EQ(tokenizer->eos_id(), 5);
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(5));
  EXPECT_FALSE(tokenizer->is_special(7));
}

TEST(GgufTokenizer, AddsWhatTheFileSays) {
  Values values = byte_level();
  values["tokenizer.ggml.bos_token_id"] = std::uint64_t{7};
  EXPECT_THAT((*load(values))->encode("a"), ElementsAre(0));
  values["tokenizer.ggml.add_bos_token"] = true;
  values["tokenizer.ggml.add_eos_token"] = true;
  EXPECT_THAT((*load(values))->encode("a"), ElementsAre(7, 0, 5));
  values["tokenizer.ggml.pre"] = std::string("llama-bpe");
  values.erase("tokenizer.ggml.add_bos_token");
  EXPECT_THAT((*load(values))->encode("a"), ElementsAre(7, 0, 5));
}

TEST(GgufTokenizer, ReadsSentencePieceVocabularies) {
  Values values = {
      {"tokenizer.ggml.model", std::string("llama")},
      {"tokenizer.ggml.tokens", Strings{"<unk>", "<s>", "</s>", "▁", "a", "▁a", "<0x62>"}},
      {"tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -3, -2, -1, 0}},
      {"tokenizer.ggml.token_type", Ints{2, 3, 3, 1, 1, 1, 6}}};
  const auto tokenizer = *load(values);
  EXPECT_THAT(tokenizer->encode("a ab"), ElementsAre(1, 5, 5, 6));
  EXPECT_THAT(tokenizer->encode("a</s>a"), ElementsAre(1, 5, 2, 5));
  EXPECT_EQ(tokenizer->decode(std::vector{5, 5, 6}, false), "a ab");
  values["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_THAT((*load(values))->encode("a"), ElementsAre(1, 4));
  values["tokenizer.ggml.model"] = std::string("t5");
  EXPECT_THAT((*load(values))->encode("a"), ElementsAre(4, 1));
}

TEST(GgufTokenizer, RefusesWhatIsWrongByName) {
  const auto error_of = [](const char* key, GgufValue value) {
    Values values = byte_level();
    values[key] = std::move(value);
    const auto loaded = load(values);
    EXPECT_TRUE(loaded.has_error()) << key;
    return loaded.has_error() ? loaded.error().message() : "";
  };
  EXPECT_THAT(error_of("tokenizer.ggml.pre", std::string("martian")), HasSubstr("martian"));
  EXPECT_THAT(error_of("tokenizer.ggml.model", std::string("magic")), HasSubstr("magic"));
  EXPECT_THAT(error_of("tokenizer.ggml.token_type", Ints{1}), HasSubstr("token_type"));
  EXPECT_THAT(error_of("tokenizer.ggml.scores", std::vector<double>{1}), HasSubstr("scores"));
  EXPECT_THAT(error_of("tokenizer.ggml.eos_token_id", std::uint64_t{8}), HasSubstr("eos_token_id"));
  EXPECT_THAT(error_of("tokenizer.ggml.merges", std::uint64_t{8}), HasSubstr("merges"));
}

TEST(GgufTokenizer, SurvivesTokensThatAreNoUtf8) {
  Values values = byte_level();
  values["tokenizer.ggml.tokens"] =
      Strings{"a", "\xff", "\xe2\x82", "", "Ġab", "\xc3", "1", "\xf0"};
  const auto loaded = load(values);
  ASSERT_FALSE(loaded.has_error());
  (*loaded)->encode("ab \xff");
  for (int id = -1; id < 9; ++id) (*loaded)->token_bytes(id);
}

TEST(GgufTokenizer, SaysThatThereIsNone) {
  EXPECT_EQ(load({}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(load({{"tokenizer.ggml.model", std::string("gpt2")}}).error().code,
            ErrorCode::kNotFound);
}

TEST(KnownPatterns, AllCompile) {
  for (const char* name :
       {"llama-bpe",  "qwen2",      "qwen35",   "deepseek-llm",    "deepseek-coder", "deepseek-v3",
        "gpt-4o",     "tiny_aya",   "tekken",   "kimi-k2",         "smollm",         "gpt-2",
        "falcon",     "default",    "",         "bloom",           "viking",         "bailingmoe",
        "seed-coder", "exaone-moe", "superbpe", "deepseek-r1-qwen"}) {
    const NamedPreTokenizer* named = find_pre_tokenizer(name);
    ASSERT_NE(named, nullptr) << name;
    for (const std::string_view pattern : named->patterns) {
      const auto regex = Regex::compile(pattern);
      EXPECT_FALSE(regex.has_error()) << name << ": " << regex.error().message();
    }
  }
}

}  // namespace
}  // namespace bundle::tokenizer
