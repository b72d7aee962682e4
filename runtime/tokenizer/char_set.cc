#include "runtime/tokenizer/char_set.h"

#include <algorithm>
#include <utf8proc.h>

namespace bundle::tokenizer {
namespace {

constexpr char32_t kLast = 0x10ffff;

// Beyond this many members a set is a property such as "letter", which has both cases anyway.
constexpr std::size_t kCaseLimit = 4096;

// The Latin letters that fold to ASCII ones without being their simple case partners.
constexpr std::pair<char32_t, char32_t> kOddFolds[] = {
    {0x17f, 's'},   {0x212a, 'k'},   {0x1e9e, 0xdf}, {0x212b, 0xe5}, {0x2126, 0x3c9},
    {0xb5, 0x3bc},  {0x3c2, 0x3c3},  {0x3d0, 0x3b2}, {0x3d1, 0x3b8}, {0x3d5, 0x3c6},
    {0x3d6, 0x3c0}, {0x3f0, 0x3ba},  {0x3f1, 0x3c1}, {0x3f5, 0x3b5}, {0x1e9b, 0x1e61},
    {0x345, 0x3b9}, {0x1fbe, 0x3b9},
};

}  // namespace

CharSet::CharSet(std::vector<CodeRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  for (const CodeRange& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CharSet CharSet::categories(CategoryMask mask) {
  return where([mask](CharInfo info) { return info.in(mask); });
}

CharSet CharSet::script(int number) {
  return where([number](CharInfo info) { return info.script() == number; });
}

CharSet CharSet::complement() const {
  std::vector<CodeRange> gaps;
  char32_t next = 0;
  for (const CodeRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) gaps.push_back({next, kLast});
  return CharSet(std::move(gaps));
}

CharSet CharSet::operator|(const CharSet& other) const {
  std::vector<CodeRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(both));
}

CharSet CharSet::operator&(const CharSet& other) const {
  return (complement() | other.complement()).complement();
}

CharSet CharSet::any_case() const {
  std::size_t members = 0;
  for (const CodeRange& range : ranges_) members += range.last - range.first + 1;
  if (members > kCaseLimit) return *this;
  std::vector<CodeRange> more = ranges_;
  const auto add = [&more](char32_t c) { more.push_back({c, c}); };
  for (const CodeRange& range : ranges_) {
    for (char32_t c = range.first; c <= range.last; ++c) {
      const char32_t folded = fold_case(c);
      add(folded);
      if (c != 0x131) {
        add(static_cast<char32_t>(utf8proc_toupper(static_cast<int>(folded))));
        add(static_cast<char32_t>(utf8proc_totitle(static_cast<int>(folded))));
      }
      for (const auto& [odd, plain] : kOddFolds) {
        if (plain == folded) add(odd);
      }
    }
  }
  return CharSet(std::move(more));
}

bool CharSet::contains(char32_t c) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), c,
                       [](char32_t value, const CodeRange& range) { return value < range.first; });
  return after != ranges_.begin() && std::prev(after)->last >= c;
}

CharBitmap::CharBitmap(const CharSet& set) : pages_{Page{}, Page{~0ull, ~0ull, ~0ull, ~0ull}} {
  for (const CodeRange& range : set.ranges()) {
    for (char32_t c = range.first; c <= range.last;) {
      const char32_t page_last = c | 255;
      if ((c & 255) == 0 && page_last <= range.last) {
        index_[c >> 8] = 1;
        c = page_last + 1;
        continue;
      }
      if (index_[c >> 8] == 0) {
        index_[c >> 8] = static_cast<std::uint16_t>(pages_.size());
        pages_.emplace_back();
      }
      Page& page = pages_[index_[c >> 8]];
      const char32_t last = std::min(range.last, page_last);
      for (; c <= last; ++c) page[(c & 255) >> 6] |= 1ull << (c & 63);
    }
  }
  ascii_ = {pages_[index_[0]][0], pages_[index_[0]][1]};
}

}  // namespace bundle::tokenizer
