// Case as str.upper, str.lower and str.title map it: mostly one code point to one, by utf8proc; and
// the full mappings of Unicode's SpecialCasing.txt, in which one becomes several.
#include <algorithm>
#include <array>
#include <iterator>
#include <utf8proc.h>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

using Mapped = std::array<char32_t, 3>;  // zero-padded

struct SpecialCase {
  char32_t from;
  Mapped upper;
  Mapped title;
};

constexpr SpecialCase kSpecial[] = {{0xdf, {0x53, 0x53}, {0x53, 0x73}},
                                    {0x149, {0x2bc, 0x4e}, {0x2bc, 0x4e}},
                                    {0x1f0, {0x4a, 0x30c}, {0x4a, 0x30c}},
                                    {0x390, {0x399, 0x308, 0x301}, {0x399, 0x308, 0x301}},
                                    {0x3b0, {0x3a5, 0x308, 0x301}, {0x3a5, 0x308, 0x301}},
                                    {0x587, {0x535, 0x552}, {0x535, 0x582}},
                                    {0x1e96, {0x48, 0x331}, {0x48, 0x331}},
                                    {0x1e97, {0x54, 0x308}, {0x54, 0x308}},
                                    {0x1e98, {0x57, 0x30a}, {0x57, 0x30a}},
                                    {0x1e99, {0x59, 0x30a}, {0x59, 0x30a}},
                                    {0x1e9a, {0x41, 0x2be}, {0x41, 0x2be}},
                                    {0x1f50, {0x3a5, 0x313}, {0x3a5, 0x313}},
                                    {0x1f52, {0x3a5, 0x313, 0x300}, {0x3a5, 0x313, 0x300}},
                                    {0x1f54, {0x3a5, 0x313, 0x301}, {0x3a5, 0x313, 0x301}},
                                    {0x1f56, {0x3a5, 0x313, 0x342}, {0x3a5, 0x313, 0x342}},
                                    {0x1fb2, {0x1fba, 0x399}, {0x1fba, 0x345}},
                                    {0x1fb3, {0x391, 0x399}, {0x1fbc}},
                                    {0x1fb4, {0x386, 0x399}, {0x386, 0x345}},
                                    {0x1fb6, {0x391, 0x342}, {0x391, 0x342}},
                                    {0x1fb7, {0x391, 0x342, 0x399}, {0x391, 0x342, 0x345}},
                                    {0x1fbc, {0x391, 0x399}, {0x1fbc}},
                                    {0x1fc2, {0x1fca, 0x399}, {0x1fca, 0x345}},
                                    {0x1fc3, {0x397, 0x399}, {0x1fcc}},
                                    {0x1fc4, {0x389, 0x399}, {0x389, 0x345}},
                                    {0x1fc6, {0x397, 0x342}, {0x397, 0x342}},
                                    {0x1fc7, {0x397, 0x342, 0x399}, {0x397, 0x342, 0x345}},
                                    {0x1fcc, {0x397, 0x399}, {0x1fcc}},
                                    {0x1fd2, {0x399, 0x308, 0x300}, {0x399, 0x308, 0x300}},
                                    {0x1fd3, {0x399, 0x308, 0x301}, {0x399, 0x308, 0x301}},
                                    {0x1fd6, {0x399, 0x342}, {0x399, 0x342}},
                                    {0x1fd7, {0x399, 0x308, 0x342}, {0x399, 0x308, 0x342}},
                                    {0x1fe2, {0x3a5, 0x308, 0x300}, {0x3a5, 0x308, 0x300}},
                                    {0x1fe3, {0x3a5, 0x308, 0x301}, {0x3a5, 0x308, 0x301}},
                                    {0x1fe4, {0x3a1, 0x313}, {0x3a1, 0x313}},
                                    {0x1fe6, {0x3a5, 0x342}, {0x3a5, 0x342}},
                                    {0x1fe7, {0x3a5, 0x308, 0x342}, {0x3a5, 0x308, 0x342}},
                                    {0x1ff2, {0x1ffa, 0x399}, {0x1ffa, 0x345}},
                                    {0x1ff3, {0x3a9, 0x399}, {0x1ffc}},
                                    {0x1ff4, {0x38f, 0x399}, {0x38f, 0x345}},
                                    {0x1ff6, {0x3a9, 0x342}, {0x3a9, 0x342}},
                                    {0x1ff7, {0x3a9, 0x342, 0x399}, {0x3a9, 0x342, 0x345}},
                                    {0x1ffc, {0x3a9, 0x399}, {0x1ffc}},
                                    {0xfb00, {0x46, 0x46}, {0x46, 0x66}},
                                    {0xfb01, {0x46, 0x49}, {0x46, 0x69}},
                                    {0xfb02, {0x46, 0x4c}, {0x46, 0x6c}},
                                    {0xfb03, {0x46, 0x46, 0x49}, {0x46, 0x66, 0x69}},
                                    {0xfb04, {0x46, 0x46, 0x4c}, {0x46, 0x66, 0x6c}},
                                    {0xfb05, {0x53, 0x54}, {0x53, 0x74}},
                                    {0xfb06, {0x53, 0x54}, {0x53, 0x74}},
                                    {0xfb13, {0x544, 0x546}, {0x544, 0x576}},
                                    {0xfb14, {0x544, 0x535}, {0x544, 0x565}},
                                    {0xfb15, {0x544, 0x53b}, {0x544, 0x56b}},
                                    {0xfb16, {0x54e, 0x546}, {0x54e, 0x576}},
                                    {0xfb17, {0x544, 0x53d}, {0x544, 0x56d}}};

void append(std::string& out, const Mapped& mapped) {
  for (const char32_t c : mapped) {
    if (c != 0) append_utf8(out, c);
  }
}

const SpecialCase* find_special(char32_t c) {
  if (c < 0xdf) return nullptr;
  const auto* at = std::lower_bound(std::begin(kSpecial), std::end(kSpecial), c,
                                    [](const SpecialCase& s, char32_t x) { return s.from < x; });
  return at != std::end(kSpecial) && at->from == c ? at : nullptr;
}

/// Greek vowels with an iota below: the iota stands beside the capital.
bool has_iota_below(char32_t c) { return c >= 0x1f80 && c <= 0x1faf; }

char32_t greek_capital(char32_t c) {
  constexpr char32_t kRows[] = {0x1f08, 0x1f28, 0x1f68};
  return kRows[(c - 0x1f80) / 16] + (c & 7);
}

char32_t simple_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t simple_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
char32_t simple_title(char32_t c) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

void append_upper(std::string& out, char32_t c) {
  if (has_iota_below(c)) {
    append_utf8(out, greek_capital(c));
    append_utf8(out, 0x399);
  } else if (const SpecialCase* special = find_special(c)) {
    append(out, special->upper);
  } else {
    append_utf8(out, simple_upper(c));
  }
}

void append_title(std::string& out, char32_t c) {
  const SpecialCase* special = find_special(c);
  if (special != nullptr) {
    append(out, special->title);
  } else {
    append_utf8(out, simple_title(c));
  }
}

bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }

bool is_case_ignorable(char32_t c) {
  if (c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x2019) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return false;
  }
}

/// Whether the capital sigma at [start, end) ends its word, where it becomes a final one.
bool is_final_sigma(std::string_view text, std::size_t start, std::size_t end) {
  bool cased_before = false;
  for (std::size_t at = start; at > 0;) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
    std::size_t next = at;
    const char32_t c = next_code_point(text, next);
    if (is_case_ignorable(c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t at = end; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

/// Lower-cases the code point that starts at `at`, and moves behind it.
void append_lower(std::string& out, std::string_view text, std::size_t& at) {
  const std::size_t start = at;
  const char32_t c = next_code_point(text, at);
  if (c == 0x3a3) {
    append_utf8(out, is_final_sigma(text, start, at) ? 0x3c2 : 0x3c3);
  } else if (c == 0x130) {
    out += "i\xcc\x87";
  } else {
    append_utf8(out, simple_lower(c));
  }
}

char32_t peek(std::string_view text, std::size_t at) { return next_code_point(text, at); }

}  // namespace

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) append_upper(out, next_code_point(text, at));
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) append_lower(out, text, at);
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = peek(text, at);
    if (in_word) {
      append_lower(out, text, at);
    } else {
      append_title(out, next_code_point(text, at));
    }
    in_word = is_cased(c);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  std::size_t at = 0;
  if (!text.empty()) append_title(out, next_code_point(text, at));
  while (at < text.size()) append_lower(out, text, at);
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = peek(text, at);
    if (is_upper(c)) {
      append_lower(out, text, at);
      continue;
    }
    next_code_point(text, at);
    if (is_lower(c)) {
      append_upper(out, c);
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

std::string case_fold(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t folded[8];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    const auto c = static_cast<utf8proc_int32_t>(next_code_point(text, at));
    const auto n = utf8proc_decompose_char(c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < n && i < 8; ++i) {
      append_utf8(out, static_cast<char32_t>(folded[i]));
    }
  }
  return out;
}

}  // namespace bundle::chat
