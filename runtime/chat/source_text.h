// The text of a template, and where in it things are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::chat {

/// A template's text as Jinja reads it: line ends are "\n", and one at the very end is dropped.
/// Immutable.
class SourceText {
 public:
  SourceText(std::string_view text, std::string_view where);

  const std::string& text() const { return text_; }
  /// "NAME line 3 column 7" of a byte offset; both count from 1, columns in code points.
  std::string place(std::uint32_t at) const;
  Error error_at(std::uint32_t at, std::string what) const;

 private:
  std::string text_;
  std::string where_;
  std::vector<std::uint32_t> lines_;  // offsets at which lines start
};

}  // namespace bundle::chat
