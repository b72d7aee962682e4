// textwrap.wrap, which the filter wordwrap calls for every line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::chat {

struct WrapOptions {
  std::size_t width = 79;  // code points, at least 1
  bool break_long_words = true;
  bool break_on_hyphens = true;
};

/// The lines of one paragraph, none longer than the width unless a word is and may not be broken.
std::vector<std::string> wrap_line(std::string_view line, const WrapOptions& options);

}  // namespace bundle::chat
