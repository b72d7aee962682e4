#include "runtime/chat/wordwrap.h"

#include <algorithm>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

using Chars = std::u32string;

bool is_wrap_space(char32_t c) { return c == ' ' || (c >= 0x09 && c <= 0x0d); }
bool is_word(char32_t c) { return c == '_' || is_alpha(c) || is_numeric(c); }
bool is_letter(char32_t c) { return is_word(c) && !is_decimal(c); }  // regex [^\d\W]

/// May a dash of two or more follow this character?
bool before_dash(char32_t c) {
  constexpr std::u32string_view kMarks = U"!\"'&.,?";
  return is_word(c) || kMarks.find(c) != std::u32string_view::npos;
}

/// Splits a line into the pieces between which it may be broken, as textwrap's regular expression
/// does: words, white space, dashes between words, and the parts of hyphenated words.
class Splitter {
 public:
  Splitter(const Chars& text, bool hyphens) : text_(text), hyphens_(hyphens) {}

  std::vector<Chars> split() {
    while (at_ < text_.size()) {
      const std::size_t end = piece_end();
      pieces_.push_back(text_.substr(at_, end - at_));
      at_ = end;
    }
    return std::move(pieces_);
  }

 private:
  char32_t get(std::size_t i) const { return i < text_.size() ? text_[i] : 0; }

  std::size_t dashes_end(std::size_t from) const {
    while (get(from) == '-') ++from;
    return from;
  }

  /// An em-dash between words starts at i.
  bool dash_at(std::size_t i) const {
    if (!hyphens_ || i == 0 || get(i) != '-' || get(i + 1) != '-') return false;
    return before_dash(text_[i - 1]) && is_word(get(dashes_end(i)));
  }

  /// A hyphen at i after which a word may be broken.
  bool breaks_after(std::size_t i) const {
    if (!hyphens_ || get(i) != '-' || i == 0) return false;
    const bool two = i >= 2 && is_letter(text_[i - 1]) && is_letter(text_[i - 2]);
    const bool spelled =
        i >= 3 && is_letter(text_[i - 1]) && text_[i - 2] == '-' && is_letter(text_[i - 3]);
    if (!two && !spelled) return false;
    if (!is_letter(get(i + 1))) return false;
    return is_letter(get(i + 2)) || (get(i + 2) == '-' && is_letter(get(i + 3)));
  }

  std::size_t piece_end() const {
    std::size_t i = at_;
    if (is_wrap_space(text_[i])) {
      while (i < text_.size() && is_wrap_space(text_[i])) ++i;
      return i;
    }
    if (dash_at(i)) return dashes_end(i);
    for (++i; i < text_.size(); ++i) {
      if (is_wrap_space(text_[i]) || dash_at(i)) return i;
      if (breaks_after(i)) return i + 1;
    }
    return i;
  }

  const Chars& text_;
  bool hyphens_;
  std::size_t at_ = 0;
  std::vector<Chars> pieces_;
};

bool is_blank(const Chars& piece) { return std::all_of(piece.begin(), piece.end(), is_space); }

Chars to_chars(std::string_view text) {
  Chars out;
  for (std::size_t at = 0; at < text.size();) out += next_code_point(text, at);
  return out;
}

/// Where to cut a word that is longer than `space`: after its last hyphen that fits, if any.
std::size_t cut_of(const Chars& word, std::size_t space, bool hyphens) {
  if (!hyphens || word.size() <= space) return space;
  const std::size_t hyphen = space == 0 ? Chars::npos : word.rfind(U'-', space - 1);
  if (hyphen == Chars::npos || hyphen == 0) return space;
  const bool all_hyphens = word.find_first_not_of(U'-') >= hyphen;
  return all_hyphens ? space : hyphen + 1;
}

}  // namespace

std::vector<std::string> wrap_line(std::string_view line, const WrapOptions& options) {
  std::vector<Chars> pieces = Splitter(to_chars(line), options.break_on_hyphens).split();
  std::reverse(pieces.begin(), pieces.end());
  std::vector<std::string> lines;
  while (!pieces.empty()) {
    std::vector<Chars> current;
    std::size_t length = 0;
    if (!lines.empty() && is_blank(pieces.back())) pieces.pop_back();
    while (!pieces.empty() && length + pieces.back().size() <= options.width) {
      length += pieces.back().size();
      current.push_back(std::move(pieces.back()));
      pieces.pop_back();
    }
    if (!pieces.empty() && pieces.back().size() > options.width) {
      const std::size_t space = options.width < 1 ? 1 : options.width - length;
      if (options.break_long_words) {
        const std::size_t cut = cut_of(pieces.back(), space, options.break_on_hyphens);
        current.push_back(pieces.back().substr(0, cut));
        pieces.back().erase(0, cut);
      } else if (current.empty()) {
        current.push_back(std::move(pieces.back()));
        pieces.pop_back();
      }
    }
    if (!current.empty() && is_blank(current.back())) current.pop_back();
    if (current.empty()) continue;
    std::string out;
    for (const Chars& piece : current) {
      for (const char32_t c : piece) append_utf8(out, c);
    }
    lines.push_back(std::move(out));
  }
  return lines;
}

}  // namespace bundle::chat
