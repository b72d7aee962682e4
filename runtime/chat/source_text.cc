#include "runtime/chat/source_text.h"

#include <algorithm>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

std::string normalize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
      continue;
    }
    out += '\n';
    if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

SourceText::SourceText(std::string_view text, std::string_view where)
    : text_(normalize(text)), where_(where), lines_{0} {
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') lines_.push_back(static_cast<std::uint32_t>(i + 1));
  }
}

std::string SourceText::place(std::uint32_t at) const {
  const auto after = std::upper_bound(lines_.begin(), lines_.end(), at);
  const std::uint32_t start = *(after - 1);
  const std::string_view before = std::string_view(text_).substr(start, at - start);
  return where_ + " line " + std::to_string(after - lines_.begin()) + " column " +
         std::to_string(count_code_points(before) + 1);
}

Error SourceText::error_at(std::uint32_t at, std::string what) const {
  return bad_input(std::move(what), place(at));
}

}  // namespace bundle::chat
