// Cutting text into the words that a model sees, as `tokenizers` does it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/char_set.h"
#include "runtime/tokenizer/regex.h"

namespace bundle::tokenizer {

/// A text and the pieces of it that are words so far, in order.
struct Pieces {
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  std::string text;
  std::vector<Range> ranges;
  bool from_start = false;  // the text's first byte is the first of the whole input

  explicit Pieces(std::string whole, bool starts = false);
  std::string_view view(const Range& range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }
};

/// One step. Immutable; thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// What becomes of the delimiters at which a step splits.
enum class SplitBehavior : std::uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};
std::optional<SplitBehavior> parse_split_behavior(std::string_view name);

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

/// Splits at the matches of a pattern, or with `invert` at what lies between them.
PreTokenizerPtr split_at_pattern(Regex regex, SplitBehavior behavior, bool invert);
PreTokenizerPtr split_at_text(std::string text, SplitBehavior behavior, bool invert);
/// Splits at every character of a set.
PreTokenizerPtr split_at_characters(const CharSet& set, SplitBehavior behavior);
/// Words of so many characters each.
PreTokenizerPtr split_by_length(std::size_t characters);

enum class PrependScheme : std::uint8_t { kNever, kFirst, kAlways };
std::optional<PrependScheme> parse_prepend_scheme(std::string_view name);

/// Spaces become `replacement`, which also starts the text or every piece.
PreTokenizerPtr metaspace(std::string replacement, PrependScheme scheme, bool split);

/// Starts every piece with a space unless it has one.
PreTokenizerPtr prefix_space();
/// Bytes become their printable stand-ins. Not needed where the model works on bytes.
PreTokenizerPtr spell_byte_level();

/// GPT-2's pattern, which `ByteLevel` splits by.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The sets of Digits and Punctuation.
CharSet numeric_characters();
CharSet punctuation_characters();
CharSet space_characters();

}  // namespace bundle::tokenizer
