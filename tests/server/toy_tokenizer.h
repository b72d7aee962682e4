// A vocabulary small enough to know by heart: 256 bytes, some special tokens, some words.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"

namespace bundle::server {

class ToyTokenizer : public tokenizer::Tokenizer {
 public:
  static constexpr std::int32_t kBegin = 256, kEnd = 257, kTurn = 258, kTurnEnd = 259;
  static constexpr std::int32_t kFirstWord = 260;  // "Hello"

  std::vector<std::int32_t> encode(std::string_view text,
                                   const tokenizer::EncodeOptions& options = {}) const override {
    std::vector<std::int32_t> ids;
    if (options.add_special) ids.push_back(kBegin);
    while (!text.empty()) {
      const std::int32_t id = longest(text, options.parse_special);
      ids.push_back(id);
      text.remove_prefix(token_bytes(id).size());
    }
    return ids;
  }

  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const override {
    std::string out;
    for (const std::int32_t id : ids) {
      if (!(skip_special && is_special(id))) out += token_bytes(id);
    }
    return out;
  }

  std::string token_bytes(std::int32_t id) const override {
    if (id < 0 || id >= vocab_size()) return {};
    if (id < 256) return std::string(1, static_cast<char>(id));
    return std::string(kWords[static_cast<std::size_t>(id - 256)]);
  }
  std::string token_text(std::int32_t id) const override { return token_bytes(id); }

  std::optional<std::int32_t> token_id(std::string_view spelling) const override {
    for (std::int32_t id = 0; id < vocab_size(); ++id) {
      if (token_bytes(id) == spelling) return id;
    }
    return std::nullopt;
  }
  bool is_special(std::int32_t id) const override { return id >= kBegin && id <= kTurnEnd; }
  std::int32_t vocab_size() const override {
    return 256 + static_cast<std::int32_t>(kWords.size());
  }
  std::optional<std::int32_t> bos_id() const override { return kBegin; }
  std::optional<std::int32_t> eos_id() const override { return kEnd; }

 private:
  static constexpr std::array<std::string_view, 14> kWords = {
      "<s>",    "</s>",   "<|turn|>", "<|end|>", "Hello", " world", " the",
      " quick", " brown", " fox",     " jumps",  " over", " lazy",  " dog"};

  std::int32_t longest(std::string_view text, bool special) const {
    std::int32_t best = static_cast<unsigned char>(text[0]);
    std::size_t length = 1;
    for (std::int32_t id = 256; id < vocab_size(); ++id) {
      const std::string word = token_bytes(id);
      if ((special || !is_special(id)) && word.size() > length && text.starts_with(word)) {
        best = id;
        length = word.size();
      }
    }
    return best;
  }
};

}  // namespace bundle::server
