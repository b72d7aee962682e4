#include "runtime/tokenizer/added_tokens.h"

#include <algorithm>

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

constexpr std::size_t kMaxSpelling = 4096;

std::size_t spaces_begin(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0) {
    const std::size_t before = previous_char(text, at);
    if (!is_space(decode_utf8(text.data() + before).c)) break;
    at = before;
  }
  return at;
}

std::size_t spaces_end(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Decoded next = decode_utf8(text.data() + at);
    if (!is_space(next.c)) break;
    at += next.length;
  }
  return at;
}

}  // namespace

Result<TokenMatcher> TokenMatcher::build(std::vector<AddedToken> tokens,
                                         const std::vector<std::string>& spellings) {
  TokenMatcher matcher;
  std::vector<ByteTrie::Key> keys;
  for (std::size_t i = 0; i < spellings.size(); ++i) {
    if (spellings[i].size() > kMaxSpelling) {
      return bad_input("an added token is longer than 4096 bytes");
    }
    if (!spellings[i].empty()) keys.push_back({spellings[i], static_cast<std::int32_t>(i)});
  }
  if (keys.empty()) return matcher;
  matcher.trie_ = ByteTrie(std::move(keys));
  matcher.tokens_ = std::move(tokens);
  return matcher;
}

TokenMatcher::Found TokenMatcher::longest_at(std::string_view text, std::size_t at) const {
  Found found;
  std::uint32_t node = 0;
  while (at < text.size() && (node = trie_.next(node, text[at])) != ByteTrie::kNone) {
    ++at;
    if (trie_.value(node) >= 0) found = {trie_.value(node), at};
  }
  return found;
}

bool TokenMatcher::stands_alone(std::string_view text, std::size_t begin, std::size_t end) const {
  const bool word_before =
      begin > 0 && is_word(decode_utf8(text.data() + previous_char(text, begin)).c);
  const bool word_after = end < text.size() && is_word(decode_utf8(text.data() + end).c);
  return !word_before && !word_after;
}

void TokenMatcher::split(std::string_view text, bool parse_special,
                         std::vector<Section>& sections) const {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const Found found = longest_at(text, at);
    if (found.token < 0) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = found.end;
    at = found.end;
    const AddedToken& token = tokens_[static_cast<std::size_t>(found.token)];
    if (token.special && !parse_special) continue;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(spaces_begin(text.substr(0, begin)), done);
    if (token.rstrip) end += spaces_end(text.substr(end));
    if (begin > done) sections.push_back({text.substr(done, begin - done)});
    sections.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) sections.push_back({text.substr(done)});
}

}  // namespace bundle::tokenizer
