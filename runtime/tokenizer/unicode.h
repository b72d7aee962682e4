// Unicode 16 as the reference tokenizers see it, whatever version this machine's libraries have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::tokenizer {

/// General category; the order is that of unicode_ranges.inc.
enum class Category : std::uint8_t {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCo,
  kCs,
};

/// A set of categories, one bit each.
using CategoryMask = std::uint32_t;
constexpr CategoryMask mask_of(Category category) { return 1u << static_cast<unsigned>(category); }
constexpr CategoryMask mask_of(Category first, Category last) {
  return (mask_of(last) << 1) - mask_of(first);
}
inline constexpr CategoryMask kLetters = mask_of(Category::kLu, Category::kLo);
inline constexpr CategoryMask kMarks = mask_of(Category::kMn, Category::kMe);
inline constexpr CategoryMask kNumbers = mask_of(Category::kNd, Category::kNo);
inline constexpr CategoryMask kPunctuation = mask_of(Category::kPc, Category::kPo);
inline constexpr CategoryMask kSymbols = mask_of(Category::kSm, Category::kSo);
inline constexpr CategoryMask kSeparators = mask_of(Category::kZs, Category::kZp);
inline constexpr CategoryMask kOthers =
    mask_of(Category::kCc, Category::kCs) | mask_of(Category::kCn);

/// The properties of one code point; code points past U+10FFFF are unassigned.
struct CharInfo {
  std::uint16_t bits = 0;

  Category category() const { return static_cast<Category>(bits & 31); }
  bool in(CategoryMask mask) const { return (mask >> (bits & 31)) & 1; }
  bool alphabetic() const { return bits & 0x20; }
  bool uppercase() const { return bits & 0x40; }
  bool lowercase() const { return bits & 0x80; }
  int script() const { return bits >> 8 & 63; }
  /// Assigned in Unicode 8.0 or 9.0 already. Some of the reference's parts stopped there.
  bool in_unicode8() const { return bits >> 14 == 2; }
  bool in_unicode9() const { return bits >> 14 != 0; }
};

CharInfo char_info(char32_t c);

/// White_Space.
bool is_space(char32_t c);
/// What `\w` means: letters, marks, decimal digits, connectors and joiners.
bool is_word(char32_t c);
/// The lower-case letter, one for one, as of Unicode 17.
char32_t lower_case(char32_t c);
/// Simple case folding.
char32_t fold_case(char32_t c);

/// The script's number in CharInfo, or -1 for a name that is not known.
int script_number(std::string_view name);

/// Code points [first, last].
struct CodeRange {
  char32_t first;
  char32_t last;
  bool operator==(const CodeRange&) const = default;
};

/// Runs of code points that share one CharInfo, in order, covering all of Unicode.
struct InfoRun {
  CodeRange range;
  CharInfo info;
};
const std::vector<InfoRun>& info_runs();

/// Bytes of the character whose first byte is given, in valid UTF-8.
inline std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// The character at `text` and its length. The text must be valid UTF-8 and not at its end.
struct Decoded {
  char32_t c;
  std::size_t length;
};
inline Decoded decode_utf8(const char* text) {
  const auto at = [text](int i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t lead = at(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1f) << 6 | (at(1) & 0x3f), 2};
  if (lead < 0xf0) return {(lead & 0x0f) << 12 | (at(1) & 0x3f) << 6 | (at(2) & 0x3f), 3};
  return {(lead & 0x07) << 18 | (at(1) & 0x3f) << 12 | (at(2) & 0x3f) << 6 | (at(3) & 0x3f), 4};
}

inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Where the character that ends at `at` begins; `at` must be over 0.
inline std::size_t previous_char(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && is_continuation(text[at]));
  return at;
}

void append_utf8(std::string& text, char32_t c);
std::u32string to_code_points(std::string_view valid_utf8);

}  // namespace bundle::tokenizer
