// Finds the first of some tags in text that comes character by character.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::chat {

/// What could be the beginning of a tag is held back until it is known. Where two tags end at the
/// same character the longer one is found; no tag may be the beginning of another. Not thread-safe.
class TagScanner {
 public:
  TagScanner() = default;
  explicit TagScanner(std::vector<std::string> tags) : tags_(std::move(tags)) {}

  /// Takes one byte. Bytes that are certainly no part of a tag are appended to `text`. The index of
  /// the tag that this byte completes, if it does.
  std::optional<std::size_t> push(char byte, std::string& text);
  /// What is held back; the text is over.
  std::string finish();
  bool holds() const { return !held_.empty(); }

 private:
  std::size_t partial_length() const;

  std::vector<std::string> tags_;
  std::string held_;
};

}  // namespace bundle::chat
