// Sets of code points: an algebra over sorted ranges to build them, and a bitmap to ask them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {

/// A set as sorted, disjoint ranges that do not touch. A value.
class CharSet {
 public:
  CharSet() = default;
  /// Ranges in any order; they may overlap.
  explicit CharSet(std::vector<CodeRange> ranges);

  static CharSet single(char32_t c) { return CharSet({{c, c}}); }
  static CharSet all() { return CharSet({{0, 0x10ffff}}); }
  static CharSet categories(CategoryMask mask);
  static CharSet script(int number);
  /// Code points for which `keep` holds; it is asked once for each run of equal properties.
  template <typename Keep>
  static CharSet where(Keep keep) {
    std::vector<CodeRange> ranges;
    for (const InfoRun& run : info_runs()) {
      if (keep(run.info)) ranges.push_back(run.range);
    }
    return CharSet(std::move(ranges));
  }

  CharSet complement() const;
  CharSet operator|(const CharSet& other) const;
  CharSet operator&(const CharSet& other) const;
  /// With every character that differs from one of these only in case.
  CharSet any_case() const;

  const std::vector<CodeRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t c) const;

 private:
  std::vector<CodeRange> ranges_;
};

/// Membership in constant time. Immutable; thread-safe.
class CharBitmap {
 public:
  explicit CharBitmap(const CharSet& set);

  bool contains(char32_t c) const {
    const Page& page = pages_[index_[c >> 8]];
    return (page[(c & 255) >> 6] >> (c & 63)) & 1;
  }
  bool contains_ascii(unsigned char c) const { return (ascii_[c >> 6] >> (c & 63)) & 1; }

 private:
  using Page = std::array<std::uint64_t, 4>;

  std::array<std::uint16_t, 0x1100> index_{};
  std::vector<Page> pages_;
  std::array<std::uint64_t, 2> ascii_{};
};

}  // namespace bundle::tokenizer
