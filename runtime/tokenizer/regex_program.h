// The program that a pattern becomes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/tokenizer/char_set.h"
#include "runtime/tokenizer/regex_node.h"

namespace bundle::tokenizer {

enum class RegexOp : std::uint8_t {
  kMatch,     // the (sub)program is done
  kByte,      // one given ASCII character
  kSet,       // one character of sets[x]
  kRun,       // min to max characters of sets[x]
  kJump,      // to x
  kSplit,     // x, and when that fails y
  kChoose,    // one of choices[x], by the next byte
  kLook,      // the program at pc + 1 matches (or not, if negated); goes on at x
  kAtomic,    // the program at pc + 1 matches; goes on at x after it
  kAssert,    // a place
  kMark,      // registers[x] = position
  kProgress,  // fails when the position is still registers[x]: an empty round of a loop
};

struct RegexInstruction {
  RegexOp op;
  RegexGreed greed = RegexGreed::kGreedy;
  RegexPlace place = RegexPlace::kTextBegin;
  bool negated = false;
  bool behind = false;
  char byte = 0;
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  std::uint32_t min = 0;  // kLook behind: characters to step back
  std::uint32_t max = 0;
};

/// At most 32 branches, and which of them may begin with a given byte.
struct RegexChoice {
  std::vector<std::uint32_t> targets;
  std::array<std::uint32_t, 128> by_ascii{};
  std::uint32_t by_other = 0;
  std::uint32_t at_end = 0;
};

struct RegexProgram {
  std::vector<RegexInstruction> code;
  std::vector<CharBitmap> sets;
  std::vector<RegexChoice> choices;
  std::uint32_t registers = 0;
  /// Characters that a match can begin with; none when it can be empty.
  std::optional<CharBitmap> first;
  /// The word characters, if the pattern asks for the borders of words.
  std::optional<CharBitmap> words;
};

}  // namespace bundle::tokenizer
