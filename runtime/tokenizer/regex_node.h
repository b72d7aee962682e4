// The syntax tree of a pattern, between parser and compiler.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/char_set.h"
#include "runtime/tokenizer/regex.h"

namespace bundle::tokenizer {

enum class RegexNodeKind : std::uint8_t {
  kSet,           // one character of `set`
  kSequence,      // the children in order; none of them: the empty string
  kAlternatives,  // the first child that lets the rest match
  kRepeat,        // the child, min to max times
  kLook,          // the child matches ahead (or behind), without moving
  kAtomic,        // the child, without going back into it
  kAssert,        // a place, without moving
};

enum class RegexPlace : std::uint8_t {
  kTextBegin,
  kTextEnd,
  kTextEndOrLastNewline,
  kLineBegin,
  kLineEnd,
  kWordBorder,
  kNoWordBorder,
};

enum class RegexGreed : std::uint8_t { kGreedy, kLazy, kPossessive };

inline constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

struct RegexNode {
  RegexNodeKind kind = RegexNodeKind::kSequence;
  CharSet set = {};
  std::vector<RegexNode> children = {};
  std::uint32_t min = 0;
  std::uint32_t max = 0;
  RegexGreed greed = RegexGreed::kGreedy;
  RegexPlace place = RegexPlace::kTextBegin;
  bool negated = false;
  bool behind = false;
};

Result<RegexNode> parse_regex(std::string_view pattern, RegexFlavor flavor);

}  // namespace bundle::tokenizer
