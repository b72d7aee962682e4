// Replacing parts of a string.
#pragma once

#include <string>
#include <string_view>

namespace bundle::tokenizer {

/// Every occurrence of `from`, left to right, by `to`. An empty `from` changes nothing.
inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::size_t at = text.find(from);
  if (at == std::string::npos) return;
  std::string result;
  result.reserve(text.size());
  std::size_t done = 0;
  for (; at != std::string::npos; at = text.find(from, done)) {
    result.append(text, done, at - done);
    result += to;
    done = at + from.size();
  }
  result.append(text, done);
  text = std::move(result);
}

}  // namespace bundle::tokenizer
