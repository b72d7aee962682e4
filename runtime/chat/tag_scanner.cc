#include "runtime/chat/tag_scanner.h"

#include <algorithm>
#include <utility>

namespace bundle::chat {

std::optional<std::size_t> TagScanner::push(char byte, std::string& text) {
  held_ += byte;
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < tags_.size(); ++i) {
    const bool longer = !found || tags_[i].size() > tags_[*found].size();
    if (longer && held_.ends_with(tags_[i])) found = i;
  }
  const std::size_t kept = found ? tags_[*found].size() : partial_length();
  text.append(held_, 0, held_.size() - kept);
  held_.erase(0, found ? std::string::npos : held_.size() - kept);
  return found;
}

std::string TagScanner::finish() { return std::exchange(held_, {}); }

/// Bytes at the end of held_ that begin a tag: the longest such suffix.
std::size_t TagScanner::partial_length() const {
  std::size_t longest = 0;
  for (const std::string& tag : tags_) {
    for (std::size_t n = std::min(tag.size() - 1, held_.size()); n > longest; --n) {
      if (held_.compare(held_.size() - n, n, tag, 0, n) == 0) longest = n;
    }
  }
  return longest;
}

}  // namespace bundle::chat
