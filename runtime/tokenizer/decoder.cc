#include "runtime/tokenizer/decoder.h"

#include <algorithm>

#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/text_edit.h"

namespace bundle::tokenizer {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// How many copies of `unit`, at most `limit`, the text starts with.
std::size_t leading(std::string_view text, std::string_view unit, std::size_t limit) {
  std::size_t count = 0;
  while (!unit.empty() && count < limit && starts_with(text, unit)) {
    text.remove_prefix(unit.size());
    ++count;
  }
  return count;
}

void strip(const DecodeStep& step, std::string& token) {
  token.erase(0, leading(token, step.text, step.left) * step.text.size());
  for (std::size_t i = 0; i < step.right && !step.text.empty(); ++i) {
    if (token.size() < step.text.size()) return;
    const std::size_t at = token.size() - step.text.size();
    if (token.compare(at, step.text.size(), step.text) != 0) return;
    token.resize(at);
  }
}

void strip_start(const DecodeStep& step, DecodeState& state, std::string& token) {
  if (token.empty() || state.stripped >= step.left) return;
  const std::size_t count = leading(token, step.text, step.left - state.stripped);
  token.erase(0, count * step.text.size());
  state.stripped += static_cast<std::uint32_t>(count);
  if (!token.empty()) state.stripped = static_cast<std::uint32_t>(step.left);
}

void word_piece(const DecodeStep& step, bool first, std::string& token) {
  if (first) return;
  if (!step.text.empty() && starts_with(token, step.text)) {
    token.erase(0, step.text.size());
  } else {
    token.insert(0, 1, ' ');
  }
}

// The reference's rules for English, in its order.
void clean_up(std::string& token) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) replace_all(token, from, to);
}

// The suffix that ends a word is a space only when another token follows.
void word_suffix(const DecodeStep& step, DecodeState& state, std::string& token) {
  std::string with_space = state.space_due ? " " : "";
  state.space_due = false;
  if (!step.text.empty() && token.size() >= step.text.size() &&
      token.compare(token.size() - step.text.size(), step.text.size(), step.text) == 0) {
    token.resize(token.size() - step.text.size());
    state.space_due = true;
  }
  replace_all(token, step.text, " ");
  token.insert(0, with_space);
}

void apply(const DecodeStep& step, bool first, DecodeState& state, std::string& token) {
  using Kind = DecodeStep::Kind;
  switch (step.kind) {
    case Kind::kByteLevel:
      if (auto bytes = byte_level_to_bytes(token)) token = std::move(*bytes);
      break;
    case Kind::kByteFallback:
      if (const auto byte = parse_byte_piece(token)) token.assign(1, static_cast<char>(*byte));
      break;
    case Kind::kReplace:
      replace_all(token, step.text, step.content);
      break;
    case Kind::kStrip:
      strip(step, token);
      break;
    case Kind::kStripStart:
      strip_start(step, state, token);
      break;
    case Kind::kMetaspace:
      replace_all(token, step.text, first && step.strip_first ? "" : " ");
      break;
    case Kind::kWordPiece:
      word_piece(step, first, token);
      break;
    case Kind::kCleanUp:
      clean_up(token);
      break;
    case Kind::kSuffix:
      word_suffix(step, state, token);
      break;
    case Kind::kJoin:
      if (!first) token.insert(0, 1, ' ');
      break;
  }
}

}  // namespace

void Decoder::append(std::string_view spelling, DecodeState& state, std::string& bytes) const {
  const bool first = state.at_start;
  state.at_start = false;
  std::string token(spelling);
  for (const DecodeStep& step : steps_) apply(step, first, state, token);
  bytes += token;
}

}  // namespace bundle::tokenizer
