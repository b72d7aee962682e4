// SentencePiece's precompiled character map: a double-array trie (Darts) from character sequences
// to their normal forms, which follow it as zero-terminated strings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::tokenizer {

/// Immutable; thread-safe.
class Charsmap {
 public:
  /// The bytes of `precompiled_charsmap`. Refused: a blob whose trie or strings run past its end.
  static Result<Charsmap> parse(std::string_view blob);

  struct Match {
    std::size_t length;       // bytes of the text that are replaced
    std::string_view normal;  // by this
  };

  /// The longest, or the shortest, key that `text` starts with; none when there is no such key.
  std::optional<Match> longest(std::string_view text) const { return find(text, true); }
  std::optional<Match> shortest(std::string_view text) const { return find(text, false); }

 private:
  std::optional<Match> find(std::string_view text, bool longest) const;

  std::vector<std::uint32_t> units_;
  std::string normals_;
};

}  // namespace bundle::tokenizer
