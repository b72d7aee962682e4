#include "runtime/chat/answer_parser.h"

namespace bundle::chat {

std::vector<std::string> AnswerSyntax::tags() const {
  std::vector<std::string> out = tool_tags(tools);
  const ReasoningTags around = reasoning_tags(reasoning);
  if (!around.begin.empty()) {
    out.push_back(around.begin);
    out.push_back(around.end);
  }
  return out;
}

AnswerParser::AnswerParser(const AnswerSyntax& syntax)
    : include_reasoning_(syntax.include_reasoning), splitter_(syntax.reasoning, syntax.start) {
  if (syntax.tools != ToolFormat::kNone) {
    tools_.emplace(syntax.tools, syntax.tool_list, syntax.parallel_calls);
  }
}

void AnswerParser::push(std::string_view text, AnswerPieces& pieces) {
  if (splitter_.over() && !tools_) {
    return add_text(pieces, AnswerPiece::Kind::kContent, text);
  }
  AnswerPieces parts;
  for (const char byte : text) splitter_.push(byte, parts);
  take(std::move(parts), pieces);
}

void AnswerParser::take(AnswerPieces parts, AnswerPieces& pieces) {
  for (const AnswerPiece& part : parts) {
    if (part.kind == AnswerPiece::Kind::kReasoning) {
      left_out_ = left_out_ || (!include_reasoning_ && !part.text.empty());
      if (include_reasoning_) add_text(pieces, part.kind, part.text);
    } else if (tools_) {
      for (const char byte : part.text) tools_->push(byte, pieces);
    } else {
      add_text(pieces, part.kind, part.text);
    }
  }
}

void AnswerParser::finish(AnswerPieces& pieces) {
  AnswerPieces parts;
  splitter_.finish(parts);
  take(std::move(parts), pieces);
  if (tools_) tools_->finish(pieces);
}

}  // namespace bundle::chat
