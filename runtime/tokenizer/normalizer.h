// Rewriting text before it is cut into words, as `tokenizers` does it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/tokenizer/regex.h"

namespace bundle::tokenizer {

/// One step. Text is valid UTF-8 before and after. Immutable; thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(std::string& text) const = 0;
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };

NormalizerPtr normalize_unicode(UnicodeForm form);
NormalizerPtr lowercase();
NormalizerPtr strip_accents();
NormalizerPtr strip_spaces(bool left, bool right);
/// Puts `prefix` before every text that is not empty.
NormalizerPtr prepend(std::string prefix);
NormalizerPtr replace_text(std::string pattern, std::string content);
NormalizerPtr replace_pattern(Regex pattern, std::string content);
/// BERT's: drops control characters, sets ideographs apart, and so on.
NormalizerPtr bert(bool clean_text, bool handle_chinese, bool strip_accents, bool lowercase);
/// SentencePiece's `precompiled_charsmap`. Refused: a map that is cut or points outside itself.
Result<NormalizerPtr> precompiled(std::string charsmap);
/// Bytes become their printable stand-ins.
NormalizerPtr spell_byte_level_text();

}  // namespace bundle::tokenizer
