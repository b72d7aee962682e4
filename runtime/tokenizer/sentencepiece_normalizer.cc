#include "runtime/tokenizer/sentencepiece_normalizer.h"

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

constexpr std::string_view kSpaceSymbol = "▁";

class SentencePieceNormalizer final : public Normalizer {
 public:
  SentencePieceNormalizer(SentencePieceNormalization rules, ByteTrie kept)
      : rules_(std::move(rules)), kept_(std::move(kept)) {}

  void apply(std::string& text) const override {
    std::string_view rest = text;
    if (rules_.remove_extra_whitespaces) skip_leading_spaces(rest);
    if (rest.empty()) {
      text.clear();
      return;
    }
    std::string result;
    result.reserve(text.size() + text.size() / 2);
    const bool suffix = rules_.whitespace_as_suffix;
    if (rules_.add_dummy_prefix && !suffix) result += space();
    append_normalized(rest, result);
    if (rules_.remove_extra_whitespaces) drop_trailing_spaces(result);
    if (rules_.add_dummy_prefix && suffix) result += space();
    text = std::move(result);
  }

 private:
  struct Prefix {
    std::string_view normal;
    std::size_t length;  // of the text that it stands for
  };

  std::string_view space() const { return rules_.escape_whitespaces ? kSpaceSymbol : " "; }

  Prefix first(std::string_view text) const {
    if (const std::size_t end = longest_key(kept_, text, 0); end > 0) {
      return {text.substr(0, end), end};
    }
    if (rules_.charsmap) {
      if (const auto match = rules_.charsmap->longest(text)) return {match->normal, match->length};
    }
    const std::size_t length = utf8_length(text[0]);
    return {text.substr(0, length), length};
  }

  void skip_leading_spaces(std::string_view& text) const {
    while (!text.empty()) {
      const Prefix next = first(text);
      if (next.normal != " ") return;
      text.remove_prefix(next.length);
    }
  }

  void append_normalized(std::string_view text, std::string& result) const {
    bool after_space = rules_.remove_extra_whitespaces;
    while (!text.empty()) {
      Prefix next = first(text);
      text.remove_prefix(next.length);
      while (after_space && next.normal.substr(0, 1) == " ") next.normal.remove_prefix(1);
      for (const char c : next.normal) {
        if (c == ' ') {
          result += space();
        } else {
          result.push_back(c);
        }
      }
      if (!next.normal.empty()) after_space = next.normal.back() == ' ';
      after_space = after_space && rules_.remove_extra_whitespaces;
    }
  }

  void drop_trailing_spaces(std::string& text) const {
    const std::string_view unit = space();
    while (text.size() >= unit.size() &&
           text.compare(text.size() - unit.size(), unit.size(), unit) == 0) {
      text.resize(text.size() - unit.size());
    }
  }

  SentencePieceNormalization rules_;
  ByteTrie kept_;
};

}  // namespace

NormalizerPtr sentencepiece_normalizer(SentencePieceNormalization rules, ByteTrie kept) {
  return std::make_unique<SentencePieceNormalizer>(std::move(rules), std::move(kept));
}

std::size_t longest_key(const ByteTrie& trie, std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    node = trie.next(node, text[i]);
    if (node == ByteTrie::kNone) break;
    if (trie.value(node) >= 0) end = i + 1;
  }
  return end;
}

}  // namespace bundle::tokenizer
