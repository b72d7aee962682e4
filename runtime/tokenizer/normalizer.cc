#include "runtime/tokenizer/normalizer.h"

#include <algorithm>
#include <cstdlib>
#include <utf8proc.h>

#include "base/text.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/char_set.h"
#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/text_edit.h"
#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// Characters of the scripts in most use that NFC leaves alone, whatever stands beside them.
bool stays_in_nfc(char32_t c) {
  return c < 0x300 || (c >= 0x400 && c < 0x483) || (c >= 0x2010 && c < 0x2028) ||
         (c >= 0x3001 && c < 0x302a) || (c >= 0x3041 && c < 0x3097) ||
         (c >= 0x309b && c < 0x3100) || (c >= 0x4e00 && c < 0xa000) ||
         (c >= 0xac00 && c < 0xd7a4) || (c >= 0xff01 && c < 0xff61);
}

bool all_stay_in_nfc(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Decoded next = decode_utf8(text.data() + at);
    if (!stays_in_nfc(next.c)) return false;
    at += next.length;
  }
  return true;
}

template <typename Map>
void map_characters(std::string& text, Map map) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded next = decode_utf8(text.data() + at);
    map(next.c, result);
    at += next.length;
  }
  text = std::move(result);
}

utf8proc_option_t options_of(UnicodeForm form) {
  const bool composed = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  int options = UTF8PROC_STABLE | (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (compatible) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

// The reference stopped at Unicode 9: characters that are younger neither change nor combine, so
// the text on their two sides is normalized apart.
class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}

  void apply(std::string& text) const override {
    if (is_ascii(text)) return;
    if (form_ == UnicodeForm::kNfc && all_stay_in_nfc(text)) return;
    std::string result;
    result.reserve(text.size());
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
      const Decoded next = decode_utf8(text.data() + at);
      const std::size_t end = at + next.length;
      if (next.c >= 0x80 && !char_info(next.c).in_unicode9()) {
        append_normal(std::string_view(text).substr(begin, at - begin), result);
        result.append(text, at, next.length);
        begin = end;
      }
      at = end;
    }
    append_normal(std::string_view(text).substr(begin), result);
    text = std::move(result);
  }

 private:
  void append_normal(std::string_view text, std::string& result) const {
    if (text.empty()) return;
    utf8proc_uint8_t* normal = nullptr;
    const auto length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                     static_cast<utf8proc_ssize_t>(text.size()), &normal, options_of(form_));
    // Valid text fails only where memory does; it then stays as it is.
    if (length >= 0) {
      result.append(reinterpret_cast<const char*>(normal), static_cast<std::size_t>(length));
    } else {
      result += text;
    }
    std::free(normal);
  }

  UnicodeForm form_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    map_characters(text, [](char32_t c, std::string& out) {
      append_utf8(out, lower_case(c));
      if (c == 0x130) append_utf8(out, 0x307);  // the one letter that becomes two
    });
  }
};

// Drops the characters of a set.
class Drop final : public Normalizer {
 public:
  explicit Drop(const CharSet& set) : set_(set) {}

  void apply(std::string& text) const override {
    if (is_ascii(text)) return;
    map_characters(text, [this](char32_t c, std::string& out) {
      if (!set_.contains(c)) append_utf8(out, c);
    });
  }

 private:
  CharBitmap set_;
};

// Marks as of Unicode 9.
CharSet old_marks() {
  const CharSet now = CharSet::where([](CharInfo i) { return i.in(kMarks) && i.in_unicode9(); });
  return (now & CharSet::single(0x111c9).complement()) | CharSet({{0x1cf2, 0x1cf3}});
}

// Marks without width as of Unicode 8: some have changed their category since.
CharSet old_accents() {
  const auto mask = mask_of(Category::kMn);
  const CharSet now = CharSet::where([=](CharInfo i) { return i.in(mask) && i.in_unicode8(); });
  const CharSet since({{0x1885, 0x1886}, {0x1dfb, 0x1dfb}, {0xa9bd, 0xa9bd}, {0x111c9, 0x111c9}});
  return (now & since.complement()) | CharSet({{0x1734, 0x1734}, {0x1171e, 0x1171e}});
}

class StripSpaces final : public Normalizer {
 public:
  StripSpaces(bool left, bool right) : left_(left), right_(right) {}

  void apply(std::string& text) const override {
    if (right_) text.resize(end_of(text));
    if (left_) text.erase(0, begin_of(text));
  }

 private:
  static std::size_t begin_of(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() && is_space(decode_utf8(text.data() + at).c)) {
      at += utf8_length(text[at]);
    }
    return at;
  }
  static std::size_t end_of(std::string_view text) {
    std::size_t at = text.size();
    while (at > 0) {
      const std::size_t before = previous_char(text, at);
      if (!is_space(decode_utf8(text.data() + before).c)) break;
      at = before;
    }
    return at;
  }

  bool left_;
  bool right_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class ReplaceText final : public Normalizer {
 public:
  ReplaceText(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override { replace_all(text, pattern_, content_); }

 private:
  std::string pattern_;
  std::string content_;
};

class ReplacePattern final : public Normalizer {
 public:
  ReplacePattern(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(std::string& text) const override {
    RegexScanner scanner(pattern_);
    scanner.reset(text);
    std::string result;
    std::size_t done = 0;
    while (const auto match = scanner.next()) {
      result.append(text, done, match->begin - done);
      result += content_;
      done = match->end;
    }
    result.append(text, done);
    text = std::move(result);
  }

 private:
  Regex pattern_;
  std::string content_;
};

bool is_ideograph(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

class CleanText final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    constexpr CategoryMask kDropped =
        mask_of(Category::kCc) | mask_of(Category::kCf) | mask_of(Category::kCo);
    map_characters(text, [](char32_t c, std::string& out) {
      const bool plain_space = c == '\t' || c == '\n' || c == '\r';
      const CharInfo info = char_info(c);
      const bool dropped = info.in(kDropped) && info.in_unicode8() && !plain_space;
      if (c == 0xfffd || dropped) return;
      append_utf8(out, is_space(c) ? U' ' : c);
    });
  }
};

class SpaceIdeographs final : public Normalizer {
 public:
  void apply(std::string& text) const override {
    map_characters(text, [](char32_t c, std::string& out) {
      if (is_ideograph(c)) out.push_back(' ');
      append_utf8(out, c);
      if (is_ideograph(c)) out.push_back(' ');
    });
  }
};

class All final : public Normalizer {
 public:
  explicit All(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  void apply(std::string& text) const override {
    for (const NormalizerPtr& step : steps_) step->apply(text);
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

// The reference asks the map grapheme by grapheme, takes the shortest key that a short grapheme
// starts with for all of it, and else goes character by character.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(Charsmap map) : map_(std::move(map)) {}

  void apply(std::string& text) const override {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = grapheme_length(std::string_view(text).substr(at));
      append_grapheme(std::string_view(text).substr(at, length), result);
      at += length;
    }
    text = std::move(result);
  }

 private:
  static constexpr std::size_t kShortGrapheme = 6;

  static std::size_t grapheme_length(std::string_view text) {
    const Decoded first = decode_utf8(text.data());
    std::size_t at = first.length;
    auto before = static_cast<utf8proc_int32_t>(first.c);
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
      const Decoded next = decode_utf8(text.data() + at);
      const auto c = static_cast<utf8proc_int32_t>(next.c);
      if (utf8proc_grapheme_break_stateful(before, c, &state)) break;
      before = c;
      at += next.length;
    }
    return at;
  }

  void append_grapheme(std::string_view grapheme, std::string& result) const {
    if (grapheme.size() < kShortGrapheme) {
      if (const auto match = map_.shortest(grapheme)) {
        result += match->normal;
        return;
      }
    }
    for (std::size_t at = 0; at < grapheme.size();) {
      const std::size_t length = utf8_length(grapheme[at]);
      const std::string_view character = grapheme.substr(at, length);
      const auto match = map_.shortest(character);
      result += match ? match->normal : character;
      at += length;
    }
  }

  Charsmap map_;
};

class SpellByteLevelText final : public Normalizer {
 public:
  void apply(std::string& text) const override { text = bytes_to_byte_level(text); }
};

}  // namespace

NormalizerPtr normalize_unicode(UnicodeForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}

NormalizerPtr lowercase() { return std::make_unique<Lowercase>(); }

NormalizerPtr strip_accents() { return std::make_unique<Drop>(old_marks()); }

NormalizerPtr strip_spaces(bool left, bool right) {
  return std::make_unique<StripSpaces>(left, right);
}

NormalizerPtr prepend(std::string prefix) { return std::make_unique<Prepend>(std::move(prefix)); }

NormalizerPtr replace_text(std::string pattern, std::string content) {
  return std::make_unique<ReplaceText>(std::move(pattern), std::move(content));
}

NormalizerPtr replace_pattern(Regex pattern, std::string content) {
  return std::make_unique<ReplacePattern>(std::move(pattern), std::move(content));
}

NormalizerPtr bert(bool clean_text, bool handle_chinese, bool strip_accents, bool lowercase) {
  std::vector<NormalizerPtr> steps;
  if (clean_text) steps.push_back(std::make_unique<CleanText>());
  if (handle_chinese) steps.push_back(std::make_unique<SpaceIdeographs>());
  if (strip_accents) {
    steps.push_back(normalize_unicode(UnicodeForm::kNfd));
    steps.push_back(std::make_unique<Drop>(old_accents()));
  }
  if (lowercase) steps.push_back(std::make_unique<Lowercase>());
  return std::make_unique<All>(std::move(steps));
}

Result<NormalizerPtr> precompiled(std::string charsmap) {
  BUNDLE_TRY(Charsmap map, Charsmap::parse(charsmap));
  return NormalizerPtr(std::make_unique<Precompiled>(std::move(map)));
}

NormalizerPtr spell_byte_level_text() { return std::make_unique<SpellByteLevelText>(); }

}  // namespace bundle::tokenizer
