#include "runtime/tokenizer/hf_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using TokenizerPtr = std::shared_ptr<const Tokenizer>;

Result<TokenizerPtr> load(const std::string& text) {
  const JsonTables tables = cut_tables(text);
  BUNDLE_TRY(const Json document, parse_json(tables.rest, "tokenizer.json"));
  return load_hf_json(document, tables, "tokenizer.json");
}

// A tokenizer whose ids are the words of `words`, in order; unknown words are 0.
TokenizerPtr words(const std::string& steps, const std::vector<std::string>& list) {
  std::string vocab = R"("[UNK]":0)";
  for (std::size_t i = 0; i < list.size(); ++i) {
    vocab += "," + print_json(Json(list[i])) + ":" + std::to_string(i + 1);
  }
  auto loaded = load("{" + steps + R"(,"model":{"type":"WordLevel","unk_token":"[UNK]","vocab":{)" +
                     vocab + "}}}");
  EXPECT_FALSE(loaded.has_error()) << loaded.error().message();
  return *loaded;
}

std::string pre(const std::string& step) { return R"("pre_tokenizer":)" + step; }
std::string norm(const std::string& step) { return R"("normalizer":)" + step; }

TEST(Normalizers, RewriteTheText) {
  const auto ids = [](const char* step, std::vector<std::string> list, const char* text) {
    return words(norm(step), list)->encode(text);
  };
  EXPECT_THAT(ids(R"({"type":"NFC"})", {"é"}, "e\u0301"), ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"NFD"})", {"e\u0301"}, "é"), ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"NFKC"})", {"fi1"}, "ﬁ①"), ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Lowercase"})", {"äi\u0307"}, "Äİ"), ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Strip","strip_left":true,"strip_right":false})", {"a "}, "\u3000a "),
              ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Prepend","prepend":"▁"})", {"▁a"}, "a"), ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})", {"a▁▁b"}, "a  b"),
              ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Replace","pattern":{"Regex":" +"},"content":"_"})", {"a_b"}, "a  b"),
              ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
                      "strip_accents":null,"lowercase":true})",
                  {"e a  字 "}, "É\ta\u0001 字"),
              ElementsAre(1));
  EXPECT_THAT(ids(R"({"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"}]})",
                  {"e"}, "é"),
              ElementsAre(1));
}

TEST(PreTokenizers, CutWords) {
  const auto ids = [](const char* step, std::vector<std::string> list, const char* text) {
    return words(pre(step), list)->encode(text);
  };
  EXPECT_THAT(ids(R"({"type":"Whitespace"})", {"a", ",", "b_1"}, "a,  b_1"), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(R"({"type":"WhitespaceSplit"})", {"a,", "b"}, " a,\u2003b\n"), ElementsAre(1, 2));
  EXPECT_THAT(ids(R"({"type":"Digits","individual_digits":true})", {"a", "1", "2"}, "a12"),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(R"({"type":"Digits","individual_digits":false})", {"a", "12"}, "a12"),
              ElementsAre(1, 2));
  EXPECT_THAT(ids(R"({"type":"Punctuation","behavior":"MergedWithPrevious"})", {"a!", "b"}, "a!b"),
              ElementsAre(1, 2));
  EXPECT_THAT(ids(R"({"type":"BertPreTokenizer"})", {"a", "!", "b"}, "a! b"), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})",
                  {"Ġa", "Ġb", "Ċ"}, "a b\n"),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always"})",
                  {"▁a", "▁", "▁b"}, "a  b"),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(R"({"type":"CharDelimiterSplit","delimiter":"-"})", {"a", "b"}, "a-b"),
              ElementsAre(1, 2));
}

TEST(PreTokenizers, SplitHasFiveBehaviorsAndCanInvert) {
  const auto ids = [](const std::string& behavior, bool invert, std::vector<std::string> list) {
    const std::string step = R"({"type":"Split","pattern":{"String":"-"},"behavior":")" + behavior +
                             R"(","invert":)" + (invert ? "true}" : "false}");
    return words(pre(step), list)->encode("a--b");
  };
  EXPECT_THAT(ids("Removed", false, {"a", "b"}), ElementsAre(1, 2));
  EXPECT_THAT(ids("Isolated", false, {"a", "-", "b"}), ElementsAre(1, 2, 2, 3));
  EXPECT_THAT(ids("MergedWithPrevious", false, {"a-", "-", "b"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids("MergedWithNext", false, {"a", "-", "-b"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids("Contiguous", false, {"a", "--", "b"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids("Removed", true, {"-"}), ElementsAre(1, 1));
}

TEST(PreTokenizers, MetaspaceFirstPrependsOnlyAtTheBeginning) {
  const TokenizerPtr tokenizer = words(
      R"("added_tokens":[{"id":9,"content":"<x>","special":true,"normalized":false}],)" +
          pre(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true})"),
      {"▁a", "a"});
  EXPECT_THAT(tokenizer->encode("a<x>a"), ElementsAre(1, 9, 2));
}

TokenizerPtr with_added(const std::string& switches) {
  return words(R"("added_tokens":[{"id":9,"content":"TOK",)" + switches + "}]," +
                   norm(R"({"type":"Lowercase"})") + "," + pre(R"({"type":"Whitespace"})"),
               {"a", "b", "tok", "xtok"});
}

TEST(AddedTokens, AreCutOutBeforeTheModel) {
  EXPECT_THAT(with_added(R"("normalized":false)")->encode("aTOKb tok"), ElementsAre(1, 9, 2, 3));
  EXPECT_THAT(with_added(R"("normalized":true)")->encode("aTOKb tok"), ElementsAre(1, 9, 2, 9));
  EXPECT_THAT(with_added(R"("single_word":true,"normalized":false)")->encode("a TOK xTOK"),
              ElementsAre(1, 9, 4));
}

TEST(AddedTokens, TakeSpacesWithThem) {
  const auto make = [](const std::string& strips) {
    return words(R"("added_tokens":[{"id":9,"content":"T","normalized":false,)" + strips + "}]",
                 {" ", "a"});
  };
  EXPECT_THAT(make(R"("lstrip":true)")->encode("a T "), ElementsAre(2, 9, 1));
  EXPECT_THAT(make(R"("rstrip":true)")->encode("a T "), ElementsAre(0, 9));
  EXPECT_THAT(make(R"("lstrip":true,"rstrip":true)")->encode("a \u3000T\n T"),
              ElementsAre(2, 9, 9));
}

TEST(AddedTokens, SpecialOnesCanBeTakenAsText) {
  const TokenizerPtr tokenizer = with_added(R"("special":true,"normalized":false)");
  EXPECT_THAT(tokenizer->encode("TOK"), ElementsAre(9));
  EXPECT_THAT(tokenizer->encode("TOK", {.parse_special = false}), ElementsAre(3));
  EXPECT_TRUE(tokenizer->is_special(9));
  EXPECT_FALSE(tokenizer->is_special(1));
  EXPECT_EQ(tokenizer->token_id("TOK"), 9);
  EXPECT_EQ(tokenizer->vocab_size(), 10);
}

TEST(AddedTokens, TheLongestWins) {
  const TokenizerPtr tokenizer = words(
      R"("added_tokens":[{"id":7,"content":"<a"},{"id":8,"content":"<a>"},{"id":9,"content":""}])",
      {"x"});
  EXPECT_THAT(tokenizer->encode("<a><ax"), ElementsAre(8, 7, 1));
}

TEST(PostProcessors, AddTokensAroundTheText) {
  const std::string one = R"("post_processor":{"type":"TemplateProcessing","single":[
      {"SpecialToken":{"id":"B","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
      {"SpecialToken":{"id":"E","type_id":0}}],"pair":[],"special_tokens":{
      "B":{"id":"B","ids":[7],"tokens":["B"]},"E":{"id":"E","ids":[8,9],"tokens":["E","F"]}}})";
  EXPECT_THAT(words(one, {"a"})->encode("a"), ElementsAre(7, 1, 8, 9));
  EXPECT_THAT(words(one, {"a"})->encode("a", {.add_special = false}), ElementsAre(1));
  const std::string bert =
      R"("post_processor":{"type":"BertProcessing","sep":["S",5],"cls":["C",4]})";
  EXPECT_THAT(words(bert, {"a"})->encode("a"), ElementsAre(4, 1, 5));
  EXPECT_THAT(words(bert, {"a"})->encode(""), ElementsAre(4, 5));
}

const char* const kBytePipeline = R"({
  "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
  "decoder":{"type":"ByteLevel"},
  "model":{"type":"BPE","vocab":{"a":0,"b":1,"Ġ":2,"Ã":3,"©":4,"ab":5,"Ġab":6,"Ã©":7},
           "merges":["a b",["Ġ","ab"],"Ã ©"]}})";

TEST(Models, ByteLevelBpeJoinsBytes) {
  const TokenizerPtr tokenizer = *load(kBytePipeline);
  EXPECT_THAT(tokenizer->encode("ab ab é"), ElementsAre(5, 6, 2, 7));
  EXPECT_EQ(tokenizer->decode(std::vector{6, 7}, false), " abé");
  EXPECT_EQ(tokenizer->token_bytes(3), "\xc3");
  EXPECT_EQ(tokenizer->token_text(6), "Ġab");
  EXPECT_EQ(tokenizer->decode(std::vector{-1, 99, 5}, false), "ab");
}

TEST(Models, BpeFallsBackToBytesOrUnknown) {
  const std::string head = R"({"model":{"type":"BPE","unk_token":"?",)";
  const std::string tail = R"("vocab":{"?":0,"a":1,"<0xC3>":2,"<0xA9>":3},"merges":[]}})";
  EXPECT_THAT((*load(head + R"("byte_fallback":true,)" + tail))->encode("aéü"),
              ElementsAre(1, 2, 3, 0));
  EXPECT_THAT((*load(head + R"("fuse_unk":true,)" + tail))->encode("éüa"), ElementsAre(0, 1));
  EXPECT_THAT((*load(head + R"("fuse_unk":false,)" + tail))->encode("éüa"), ElementsAre(0, 0, 1));
}

TEST(Models, IgnoreMergesTakesWholeWords) {
  const std::string head = R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[])";
  EXPECT_THAT((*load(head + R"(,"ignore_merges":true}})"))->encode("ab"), ElementsAre(2));
  EXPECT_THAT((*load(head + R"(,"ignore_merges":false}})"))->encode("ab"), ElementsAre(0, 1));
}

TEST(Models, BpeKnowsPrefixAndSuffix) {
  const TokenizerPtr tokenizer = *load(R"({"model":{"type":"BPE","continuing_subword_prefix":"##",
      "end_of_word_suffix":"</w>","vocab":{"a":0,"##b</w>":1,"ab</w>":2},"merges":["a ##b</w>"]}})");
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(2));
}

TEST(Models, UnigramFindsTheBestSum) {
  const TokenizerPtr tokenizer = *load(R"({"model":{"type":"Unigram","unk_id":0,"vocab":
      [["<unk>",0],["a",-1],["b",-1],["ab",-3],["c",-5],["bc",-2]]}})");
  EXPECT_THAT(tokenizer->encode("abc"), ElementsAre(1, 5));
  EXPECT_THAT(tokenizer->encode("abxya"), ElementsAre(1, 2, 0, 1));
}

TEST(Models, WordPieceTakesTheLongestPieces) {
  const TokenizerPtr tokenizer =
      *load(R"({"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
      "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
      "max_input_chars_per_word":5,"vocab":{"[UNK]":0,"un":1,"##able":2,"##a":3,".":4}}})");
  EXPECT_THAT(tokenizer->encode("una"), ElementsAre(1, 3));
  EXPECT_THAT(tokenizer->encode("unx"), ElementsAre(0));
  EXPECT_THAT(tokenizer->encode("unable"), ElementsAre(0));
  EXPECT_EQ(tokenizer->decode(std::vector{1, 2, 1, 4}, false), "unable un.");
}

TEST(Decoders, UndoWhatEncodingDid) {
  const auto decode = [](const std::string& decoder, std::vector<std::string> list,
                         std::vector<std::int32_t> ids) {
    return words(R"("decoder":)" + decoder, list)->decode(ids, false);
  };
  const std::string llama = R"({"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})";
  EXPECT_EQ(decode(llama, {"▁a", "<0xC3>", "<0xA9>", "▁▁"}, {1, 2, 3, 4, 1}), "aé   a");
  EXPECT_EQ(decode(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always"})",
                   {"▁a▁b", "▁c"}, {1, 2}),
            "ab c");
  EXPECT_EQ(decode(R"({"type":"BPEDecoder","suffix":"</w>"})", {"a", "b</w>"}, {1, 2, 1, 2}),
            "ab ab");
  EXPECT_EQ(decode("null", {"a", "b"}, {1, 2}), "a b");
}

TEST(HfJson, SkipsSpecialTokensWhenAsked) {
  const TokenizerPtr tokenizer = with_added(R"("special":true)");
  EXPECT_EQ(tokenizer->decode(std::vector{9, 1}, true), "a");
  EXPECT_EQ(tokenizer->decode(std::vector{9, 1}, false), "TOK a");
}

TEST(HfJson, ReplacesInvalidUtf8) {
  EXPECT_THAT(words(pre(R"({"type":"WhitespaceSplit"})"), {"a\uFFFDb"})
                  ->encode("a\xff"
                           "b"),
              ElementsAre(1));
  EXPECT_THAT(words(pre(R"({"type":"WhitespaceSplit"})"), {"a"})->encode(""), IsEmpty());
}

TEST(HfJson, RefusesWhatItDoesNotKnowByName) {
  const std::string model = R"("model":{"type":"BPE","vocab":{"a":0},"merges":[]})";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({})", "model"},
      {R"({"model":{"type":"Magic"}})", "Magic"},
      {R"({"normalizer":{"type":"Shout"},)" + model + "}", "Shout"},
      {R"({"pre_tokenizer":{"type":"Chop"},)" + model + "}", "Chop"},
      {R"({"decoder":{"type":"Guess"},)" + model + "}", "Guess"},
      {R"({"post_processor":{"type":"Wrap"},)" + model + "}", "Wrap"},
      {R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},)" +
           model + "}",
       "unclosed"},
      {R"({"pre_tokenizer":{"type":"Sequence"},)" + model + "}", "pretokenizers"},
      {R"({"model":{"type":"BPE","vocab":{"a":"x"},"merges":[]}})", "vocab"},
      {R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})", "range"},
      {R"({"model":{"type":"BPE","vocab":{"a":99999999999},"merges":[]}})", "range"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})", "merge 0"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a a a"]}})", "merge"},
      {R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[7]}})", "merge"},
      {R"({"model":{"type":"BPE","vocab":[],"merges":[]}})", "vocab"},
      {R"({"model":{"type":"Unigram","unk_id":5,"vocab":[["a",0]]}})", "unk_id"},
      {R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "vocab"},
      {R"({"added_tokens":[{"content":"x"}],)" + model + "}", "id"},
      {R"({"added_tokens":[{"id":4294967296,"content":"x"}],)" + model + "}", "range"},
      {R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"!!"},)" + model + "}",
       "base64"},
      {R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////w=="},)" + model + "}",
       "trie"},
      {R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"X"}}],
           "special_tokens":{}},)" +
           model + "}",
       "X"},
  };
  for (const auto& [text, part] : cases) {
    const auto loaded = load(text);
    ASSERT_TRUE(loaded.has_error()) << text;
    EXPECT_EQ(loaded.error().code, ErrorCode::kBadInput) << text;
    EXPECT_THAT(loaded.error().message(), HasSubstr(part)) << text;
  }
}

}  // namespace
}  // namespace bundle::tokenizer
