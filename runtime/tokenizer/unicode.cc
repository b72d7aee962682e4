#include "runtime/tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utf8proc.h>

namespace bundle::tokenizer {
namespace {

constexpr char32_t kEnd = 0x110000;
constexpr std::size_t kPage = 256;

struct PackedRun {
  std::uint32_t first;
  std::uint16_t bits;
};

constexpr PackedRun kRuns[] = {
#include "runtime/tokenizer/unicode_ranges.inc"
};

constexpr std::string_view kScripts[] = {
    "Unknown",  "Common",   "Inherited", "Latin",    "Greek",      "Cyrillic",  "Armenian",
    "Hebrew",   "Arabic",   "Syriac",    "Thaana",   "Devanagari", "Bengali",   "Gurmukhi",
    "Gujarati", "Oriya",    "Tamil",     "Telugu",   "Kannada",    "Malayalam", "Sinhala",
    "Thai",     "Lao",      "Tibetan",   "Myanmar",  "Georgian",   "Hangul",    "Ethiopic",
    "Cherokee", "Khmer",    "Mongolian", "Hiragana", "Katakana",   "Bopomofo",  "Han",
    "Yi",       "Coptic",   "Nko",       "Runic",    "Ogham",      "Gothic",    "Javanese",
    "Balinese", "Tifinagh",
};

// Pages of 256 code points; pages wholly inside one run are shared, so the table stays small.
class InfoTable {
 public:
  InfoTable() {
    for (std::size_t i = 0; i < std::size(kRuns); ++i) {
      const char32_t next = i + 1 < std::size(kRuns) ? kRuns[i + 1].first : kEnd;
      fill({kRuns[i].first, next - 1}, kRuns[i].bits);
    }
  }

  std::uint16_t bits(char32_t c) const { return pages_[index_[c / kPage] * kPage + c % kPage]; }

 private:
  void fill(CodeRange range, std::uint16_t bits) {
    for (char32_t c = range.first; c <= range.last;) {
      const char32_t page_end = c - c % kPage + kPage;
      const bool whole = c % kPage == 0 && page_end - 1 <= range.last;
      if (whole) {
        index_[c / kPage] = uniform_page(bits);
      } else {
        if (c % kPage == 0) index_[c / kPage] = add_page(0);
        const auto page = pages_.begin() + static_cast<std::ptrdiff_t>(index_[c / kPage] * kPage);
        const char32_t last = std::min<char32_t>(range.last, page_end - 1);
        std::fill(page + c % kPage, page + last % kPage + 1, bits);
      }
      c = page_end;
    }
  }

  std::uint16_t add_page(std::uint16_t bits) {
    pages_.resize(pages_.size() + kPage, bits);
    return static_cast<std::uint16_t>(pages_.size() / kPage - 1);
  }

  std::uint16_t uniform_page(std::uint16_t bits) {
    const auto found = std::find_if(uniform_.begin(), uniform_.end(),
                                    [&](const auto& entry) { return entry.first == bits; });
    if (found != uniform_.end()) return found->second;
    uniform_.emplace_back(bits, add_page(bits));
    return uniform_.back().second;
  }

  std::array<std::uint16_t, kEnd / kPage> index_{};
  std::vector<std::uint16_t> pages_;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> uniform_;
};

const InfoTable& table() {
  static const InfoTable instance;
  return instance;
}

}  // namespace

CharInfo char_info(char32_t c) { return {c < kEnd ? table().bits(c) : std::uint16_t{0}}; }

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || char_info(c).in(kSeparators);
}

bool is_word(char32_t c) {
  constexpr CategoryMask kMask = kMarks | mask_of(Category::kNd) | mask_of(Category::kPc);
  const CharInfo info = char_info(c);
  return info.alphabetic() || info.in(kMask) || c == 0x200c || c == 0x200d;
}

char32_t lower_case(char32_t c) {
  // Letters younger than the library's tables.
  constexpr std::pair<char32_t, char32_t> kYoung[] = {
      {0x1c89, 0x1c8a}, {0xa7cb, 0x264},  {0xa7cc, 0xa7cd}, {0xa7ce, 0xa7cf},
      {0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d5}, {0xa7da, 0xa7db}, {0xa7dc, 0x19b},
  };
  for (const auto& [upper, lower] : kYoung) {
    if (c == upper) return lower;
  }
  if (c >= 0x10d50 && c <= 0x10d65) return c + 0x20;
  if (c >= 0x16ea0 && c <= 0x16eb8) return c + 0x1b;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

char32_t fold_case(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  // Turkish i's fold only in Turkish.
  if (c == 0x130 || c == 0x131) return c;
  return lower_case(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

int script_number(std::string_view name) {
  const auto found = std::find(std::begin(kScripts), std::end(kScripts), name);
  return found == std::end(kScripts) ? -1 : static_cast<int>(found - std::begin(kScripts));
}

const std::vector<InfoRun>& info_runs() {
  static const std::vector<InfoRun> runs = [] {
    std::vector<InfoRun> list;
    for (std::size_t i = 0; i < std::size(kRuns); ++i) {
      const char32_t next = i + 1 < std::size(kRuns) ? kRuns[i + 1].first : kEnd;
      list.push_back({{kRuns[i].first, next - 1}, {kRuns[i].bits}});
    }
    return list;
  }();
  return runs;
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

std::u32string to_code_points(std::string_view valid_utf8) {
  std::u32string points;
  points.reserve(valid_utf8.size());
  for (std::size_t at = 0; at < valid_utf8.size();) {
    const Decoded next = decode_utf8(valid_utf8.data() + at);
    points.push_back(next.c);
    at += next.length;
  }
  return points;
}

}  // namespace bundle::tokenizer
