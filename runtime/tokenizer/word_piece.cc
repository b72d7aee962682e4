#include "runtime/tokenizer/word_piece.h"

#include <algorithm>

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {

void WordPiece::tokenize(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto characters = static_cast<std::size_t>(
      std::count_if(word.begin(), word.end(), [](char c) { return !is_continuation(c); }));
  const std::size_t before = ids.size();
  if (characters <= options_.max_characters && cut(word, ids)) return;
  ids.resize(before);
  if (options_.unknown) ids.push_back(*options_.unknown);
}

bool WordPiece::cut(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::string spelled;
  for (std::size_t begin = 0; begin < word.size();) {
    std::optional<std::int32_t> id;
    std::size_t end = word.size();
    for (; end > begin; end = previous_char(word, end)) {
      spelled = begin == 0 ? "" : options_.continuing_prefix;
      spelled += word.substr(begin, end - begin);
      id = pieces_->find(spelled);
      if (id) break;
    }
    if (!id) return false;
    ids.push_back(*id);
    begin = end;
  }
  return true;
}

void WordLevel::tokenize(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto id = words_->find(word);
  if (id) {
    ids.push_back(*id);
  } else if (unknown_) {
    ids.push_back(*unknown_);
  }
}

}  // namespace bundle::tokenizer
