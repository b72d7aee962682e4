#include "runtime/tokenizer/known_patterns.h"

#include <map>

#include "runtime/tokenizer/pre_tokenizer.h"

namespace bundle::tokenizer {
namespace {

constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kDeepSeekCjk =
    R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf})"
    R"(\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f})"
    R"(\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481})"
    R"(\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd})"
    R"(\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77})"
    R"(\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45})"
    R"(\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d})"
    R"(\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc})"
    R"(\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4})"
    R"(\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124})"
    R"(\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f})"
    R"(\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f})"
    R"(\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06})"
    R"(\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f})"
    R"(\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2})"
    R"(\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr std::string_view kDeepSeekPunctuation =
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)";
constexpr std::string_view kDeepSeekHan =
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|)"
    R"(\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)";
constexpr std::string_view kAya = R"(\d{1,3}(?=(?:\d{3})*\b))";

using Table = std::map<std::string_view, NamedPreTokenizer>;

void add(Table& table, std::initializer_list<std::string_view> names,
         const NamedPreTokenizer& entry) {
  for (const std::string_view name : names) table.emplace(name, entry);
}

Table build_table() {
  Table table;
  add(table,
      {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
       "jina-v5-nano"},
      {.patterns = {kLlama3Pattern}, .ignore_merges = true, .add_bos = true});
  add(table, {"dbrx", "smaug-bpe", "chatglm-bpe"}, {.patterns = {kLlama3Pattern}});
  add(table, {"glm4", "glm5"}, {.patterns = {kLlama3Pattern}, .ignore_merges = true});
  add(table,
      {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
       "solar-open", "grok-2"},
      {.patterns = {kQwen2Pattern}, .nfc = true});
  add(table, {"qwen35"}, {.patterns = {kQwen35Pattern}, .nfc = true});
  add(table, {"deepseek-llm"},
      {.patterns = {R"([\r\n])", kDeepSeekLetters, kDeepSeekPunctuation, R"(\s+$)", kDeepSeekHan,
                    R"(\p{N}+)"}});
  add(table, {"deepseek-coder"},
      {.patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekHan, kDigit}});
  add(table, {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
      {.patterns = {kThreeDigits, kDeepSeekCjk, kDeepSeek3}});
  add(table, {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
      {.patterns = {kO200kPattern}});
  add(table, {"tiny_aya", "cohere2moe"}, {.patterns = {kAya, kO200kPattern}});
  add(table, {"tekken"}, {.patterns = {kTekkenPattern}, .ignore_merges = true, .add_bos = true});
  add(table, {"kimi-k2"}, {.patterns = {kKimiPattern}});
  add(table,
      {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
       "mellum2"},
      {.patterns = {kDigit, kGpt2Pattern}});
  add(table,
      {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
       "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4", "mpt",
       "olmo", "jais", "trillion", "granite-docling"},
      {.patterns = {kGpt2Pattern}});
  add(table, {"falcon"},
      {.patterns = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"}});
  add(table, {"default", ""},
      {.patterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"}});
  add(table, {"poro-chat", "bloom", "gpt3-finnish"}, {.patterns = {kBloom}});
  add(table, {"viking"}, {.patterns = {kBloom, kDigit}});
  add(table, {"bailingmoe", "bailingmoe2", "llada-moe"}, {.patterns = {kBailing}});
  add(table, {"seed-coder"}, {.patterns = {kSeedCoder}});
  add(table, {"exaone-moe"}, {.patterns = {kExaoneMoe}});
  add(table, {"superbpe"}, {.patterns = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}});
  return table;
}

}  // namespace

const NamedPreTokenizer* find_pre_tokenizer(std::string_view name) {
  static const Table table = build_table();
  const auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace bundle::tokenizer
