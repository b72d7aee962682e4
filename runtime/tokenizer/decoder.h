// Tokens back to text, token by token.
//
// `tokenizers` decodes a whole list at once. Every decoder that models publish looks at one token
// at a time and at whether it is the first, so the same result comes out of a stream; what a
// decoder must remember between two tokens is the DecodeState of tokenizer.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"

namespace bundle::tokenizer {

struct DecodeStep {
  enum class Kind : std::uint8_t {
    kByteLevel,     // stand-ins to bytes
    kByteFallback,  // "<0xE4>" to its byte
    kReplace,       // every `text` by `content`
    kStrip,         // `left` leading and `right` trailing `text` of each token
    kStripStart,    // `left` leading `text` of the whole text
    kMetaspace,     // `text` to a space; with `strip_first` to nothing in the first token
    kWordPiece,     // a space before each token but the first and those that begin with `text`
    kCleanUp,       // no space before punctuation
    kSuffix,        // `text` to a space, or to nothing at the end
    kJoin,          // a space before each token but the first
  };
  Kind kind;
  std::string text = {};
  std::string content = {};
  std::size_t left = 0;
  std::size_t right = 0;
  bool strip_first = false;
};

/// Immutable; thread-safe.
class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(std::vector<DecodeStep> steps) : steps_(std::move(steps)) {}

  /// Appends the bytes of one more token.
  void append(std::string_view spelling, DecodeState& state, std::string& bytes) const;

 private:
  std::vector<DecodeStep> steps_;
};

}  // namespace bundle::tokenizer
