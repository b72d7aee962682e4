// Regular expressions of pre-tokenizers: backtracking like Oniguruma's and Rust's, with their
// Unicode tables, in bounded time.
//
// Why not a library: a pre-tokenizer's pattern decides every token id, and the id must not depend
// on which Unicode version the distribution's library carries. Patterns are compiled to a small
// program; sets are bitmaps, loops over one set do not grow the backtrack stack, alternatives are
// chosen by the next byte.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::tokenizer {

/// Whose rules a pattern follows: `tokenizers` uses Oniguruma (Ruby syntax), tiktoken uses Rust's.
enum class RegexFlavor { kOniguruma, kRust };

struct RegexProgram;

/// A compiled pattern. Immutable, thread-safe, cheap to copy.
class Regex {
 public:
  /// Refused: bad syntax, back references, and what no published tokenizer needs (\X, \R, \K, \G).
  static Result<Regex> compile(std::string_view pattern,
                               RegexFlavor flavor = RegexFlavor::kOniguruma);

  const RegexProgram& program() const { return *program_; }

 private:
  explicit Regex(std::shared_ptr<const RegexProgram> program) : program_(std::move(program)) {}

  std::shared_ptr<const RegexProgram> program_;
};

struct RegexMatch {
  std::size_t begin;
  std::size_t end;
};

/// Finds the matches of a pattern in one text after another. Not thread-safe.
class RegexScanner {
 public:
  explicit RegexScanner(const Regex& regex);

  /// Starts over on a text, which must be valid UTF-8 and outlive the search.
  void reset(std::string_view text);

  /// The next match that does not overlap the last one. None when there is no more, or when the
  /// work passes a limit that only patterns with nested loops reach.
  std::optional<RegexMatch> next();

 private:
  friend class RegexMachine;

  bool skip_to_candidate();

  const RegexProgram* program_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<std::size_t> last_end_;
  std::uint64_t budget_;
  struct Backtrack {
    std::uint32_t kind;
    std::uint32_t pc;
    std::size_t position;
    std::size_t extra;
  };
  std::vector<Backtrack> stack_;
  std::vector<std::size_t> registers_;
};

}  // namespace bundle::tokenizer
