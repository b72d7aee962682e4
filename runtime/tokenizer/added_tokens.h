// Tokens that are cut out of the text before anything else looks at it, as `tokenizers` does it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/byte_trie.h"

namespace bundle::tokenizer {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only between characters that are no letters or digits
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // is looked for in the normalized text
  bool special = false;      // decoding may leave it out; encoding may take it as plain text
};

/// Part of a text: an added token, or text (id < 0).
struct Section {
  std::string_view text;
  std::int32_t id = -1;
};

/// Finds the leftmost, and of those the longest, of many tokens. Immutable; thread-safe.
class TokenMatcher {
 public:
  TokenMatcher() = default;
  /// `spellings[i]` is what to look for, for tokens[i]; empty ones are never found. Of equal
  /// spellings the first counts.
  static Result<TokenMatcher> build(std::vector<AddedToken> tokens,
                                    const std::vector<std::string>& spellings);

  bool empty() const { return tokens_.empty(); }
  /// Appends the sections of `text`, in order. Without `parse_special` special tokens are text.
  void split(std::string_view text, bool parse_special, std::vector<Section>& sections) const;

 private:
  struct Found {
    std::int32_t token = -1;
    std::size_t end = 0;
  };
  Found longest_at(std::string_view text, std::size_t at) const;
  bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // to indices of tokens_
};

}  // namespace bundle::tokenizer
