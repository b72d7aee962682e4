#include "runtime/launch/constraint_vocabulary.h"

#include <algorithm>
#include <set>

#include "runtime/chat/tool_parser.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::launch {
namespace {

std::set<std::string> all_tool_tags() {
  using enum chat::ToolFormat;
  std::set<std::string> tags;
  for (const chat::ToolFormat format : {kHermes, kDeepSeekV3, kLlama3, kMistral, kKimiK2}) {
    for (std::string& tag : chat::tool_tags(format)) tags.insert(std::move(tag));
  }
  return tags;
}

}  // namespace

Result<engine::ConstraintVocabulary> constraint_vocabulary(
    const format::Checkpoint& checkpoint, std::int64_t size,
    const std::vector<std::int32_t>& end_ids) {
  BUNDLE_TRY(const auto tokenizer, tokenizer::load_tokenizer(checkpoint));
  const std::set<std::string> tags = all_tool_tags();
  engine::ConstraintVocabulary out;
  out.bytes.resize(static_cast<std::size_t>(size));
  const auto known = std::min<std::int64_t>(size, tokenizer->vocab_size());
  for (std::int32_t id = 0; id < known; ++id) {
    if (tokenizer->is_special(id) && !tags.contains(tokenizer->token_text(id))) continue;
    out.bytes[static_cast<std::size_t>(id)] = tokenizer->token_bytes(id);
  }
  for (const std::int32_t id : end_ids) {
    if (id < 0 || id >= size) continue;
    out.end_ids.push_back(id);
    out.bytes[static_cast<std::size_t>(id)].clear();
  }
  return out;
}

}  // namespace bundle::launch
