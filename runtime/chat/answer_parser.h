// Turns the text of an answer into its parts: reasoning, content, tool calls.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "runtime/chat/answer_piece.h"
#include "runtime/chat/reasoning.h"
#include "runtime/chat/tool_parser.h"

namespace bundle::chat {

/// How one answer is to be read.
struct AnswerSyntax {
  ReasoningFormat reasoning = ReasoningFormat::kNone;
  ReasoningStart start = ReasoningStart::kContent;
  bool include_reasoning = true;  // else reasoning is left out of the answer
  ToolFormat tools = ToolFormat::kNone;
  std::shared_ptr<const JsonArray> tool_list = {};  // the request's
  bool parallel_calls = true;

  /// Whether there is anything to tell apart.
  bool active() const { return reasoning != ReasoningFormat::kNone || tools != ToolFormat::kNone; }
  /// Tags that must reach the parser even where a tokenizer holds them as special tokens.
  std::vector<std::string> tags() const;
};

/// One answer. What comes out depends on the text alone, not on how it was cut. Not thread-safe.
class AnswerParser {
 public:
  explicit AnswerParser(const AnswerSyntax& syntax);

  /// Appends what is certain now.
  void push(std::string_view text, AnswerPieces& pieces);
  /// The answer is over: appends what was held back.
  void finish(AnswerPieces& pieces);

  /// The last text belonged to the reasoning.
  bool reasoning() const { return splitter_.reasoning(); }
  /// It may yet turn out to be the tag that ends the reasoning.
  bool unsure() const { return splitter_.holds(); }
  /// There was reasoning, and it was left out.
  bool left_out() const { return left_out_; }
  bool called() const { return tools_ && tools_->called(); }
  /// The answer is complete, whatever the model would write next.
  bool over() const { return tools_ && tools_->over(); }

 private:
  void take(AnswerPieces parts, AnswerPieces& pieces);

  bool include_reasoning_;
  bool left_out_ = false;
  ReasoningSplitter splitter_;
  std::optional<ToolParser> tools_;
};

}  // namespace bundle::chat
