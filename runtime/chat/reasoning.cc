#include "runtime/chat/reasoning.h"

#include <utility>

namespace bundle::chat {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

ReasoningTags reasoning_tags(ReasoningFormat format) {
  switch (format) {
    case ReasoningFormat::kNone:
      return {};
    case ReasoningFormat::kMistral:
      return {"[THINK]", "[/THINK]"};
    default:
      return {"<think>", "</think>"};
  }
}

ReasoningSplitter::ReasoningSplitter(ReasoningFormat format, ReasoningStart start)
    : tags_(reasoning_tags(format)),
      after_lead_(start == ReasoningStart::kReasoning ? State::kReasoning : State::kContent),
      state_(start == ReasoningStart::kContent || tags_.begin.empty() ? State::kContent
                                                                      : State::kLead),
      end_({tags_.end}) {}

void ReasoningSplitter::push(char byte, AnswerPieces& pieces) {
  if (state_ == State::kLead) return push_lead(byte, pieces);
  std::string text;
  if (state_ == State::kContent) {
    text += byte;
    return add_text(pieces, AnswerPiece::Kind::kContent, text);
  }
  begun_ = true;
  const bool ended = end_.push(byte, text).has_value();
  add_text(pieces, AnswerPiece::Kind::kReasoning, text);
  if (ended) state_ = State::kContent;
}

void ReasoningSplitter::push_lead(char byte, AnswerPieces& pieces) {
  lead_ += byte;
  std::size_t begin = lead_.find_first_not_of(kSpace);
  if (begin == std::string::npos) begin = lead_.size();
  const std::string_view rest = std::string_view(lead_).substr(begin);
  if (rest == tags_.begin) {
    lead_.clear();
    state_ = State::kReasoning;
  } else if (!std::string_view(tags_.begin).starts_with(rest)) {
    settle(pieces);
  }
}

void ReasoningSplitter::settle(AnswerPieces& pieces) {
  state_ = after_lead_;
  for (const char byte : std::exchange(lead_, {})) push(byte, pieces);
}

void ReasoningSplitter::finish(AnswerPieces& pieces) {
  if (state_ == State::kLead) settle(pieces);
  add_text(pieces, AnswerPiece::Kind::kReasoning, end_.finish());
}

}  // namespace bundle::chat
