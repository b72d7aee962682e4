#include "runtime/server/answer_blocks.h"

#include <utility>

namespace bundle::server {

void AnswerBlocks::add(const chat::AnswerPieces& pieces) {
  using Kind = chat::AnswerPiece::Kind;
  for (const chat::AnswerPiece& piece : pieces) {
    switch (piece.kind) {
      case Kind::kReasoning:
        extend(AnswerBlock::Kind::kReasoning, piece.text);
        break;
      case Kind::kContent:
        extend(AnswerBlock::Kind::kText, piece.text);
        break;
      case Kind::kCall:
        begin({AnswerBlock::Kind::kCall, {}, piece.text, piece.call_id});
        break;
      case Kind::kArguments:
        extend(AnswerBlock::Kind::kCall, piece.text);
        break;
    }
  }
}

void AnswerBlocks::add_text(const std::string& text) {
  if (!text.empty()) extend(AnswerBlock::Kind::kText, text);
}

void AnswerBlocks::extend(AnswerBlock::Kind kind, const std::string& text) {
  if (!open_ || blocks_.back().kind != kind) begin({kind, {}, {}, {}});
  blocks_.back().text += text;
  if (watch_.grown) watch_.grown(blocks_.size() - 1, blocks_.back(), text);
}

void AnswerBlocks::begin(AnswerBlock block) {
  finish();
  blocks_.push_back(std::move(block));
  open_ = true;
  if (watch_.begun) watch_.begun(blocks_.size() - 1, blocks_.back());
}

void AnswerBlocks::finish() {
  if (std::exchange(open_, false) && watch_.ended) {
    watch_.ended(blocks_.size() - 1, blocks_.back());
  }
}

}  // namespace bundle::server
