#include <algorithm>

#include "base/text.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::tokenizer {

void Tokenizer::decode_next(std::int32_t id, bool skip_special, DecodeState& state,
                            std::string& bytes) const {
  if (skip_special && is_special(id)) return;
  state.at_start = false;
  bytes += token_bytes(id);
}

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special,
                         DecodeState start, std::vector<std::int32_t> kept)
    : tokenizer_(std::move(tokenizer)),
      skip_special_(skip_special),
      state_(start),
      kept_(std::move(kept)) {}

std::string Detokenizer::push(std::int32_t id) {
  const bool kept = std::find(kept_.begin(), kept_.end(), id) != kept_.end();
  tokenizer_->decode_next(id, skip_special_ && !kept, state_, held_);
  const std::size_t complete = complete_utf8_prefix(held_);
  std::string text = replace_invalid_utf8(std::string_view(held_).substr(0, complete));
  held_.erase(0, complete);
  return text;
}

std::string Detokenizer::finish() {
  std::string text = replace_invalid_utf8(held_);
  held_.clear();
  state_ = {};
  return text;
}

}  // namespace bundle::tokenizer
