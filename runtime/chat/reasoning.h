// Reasoning models think aloud between tags before they answer. This tells the two apart while
// tokens come.
//
// Where an answer begins depends on its prompt. The template may have opened the reasoning already
// ("…<think>\n"), so that the output holds the end tag alone; or have closed it
// ("<think></think>"), so that there is none; or have left it to the model, which then begins with
// the start tag.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/chat/answer_piece.h"
#include "runtime/chat/tag_scanner.h"

namespace bundle::chat {

enum class ReasoningFormat {
  kNone,
  kDeepSeekR1,  // reasons always; a missing start tag is implied
  kDeepSeekV3,  // V3.1 and later: reasons when the prompt opens the tag
  kQwen3,       // begins with the start tag, or with the answer
  kMistral,     // the same with [THINK]
};

struct ReasoningTags {
  std::string begin;
  std::string end;
};
/// Both are "" for kNone.
ReasoningTags reasoning_tags(ReasoningFormat format);

/// Where an output begins.
enum class ReasoningStart {
  kContent,    // there is no reasoning
  kUndecided,  // a start tag, white space before it allowed, or else content
  kReasoning,  // the prompt, or the format, has opened it; a start tag is left out
};

/// Splits one output. Text is taken over as it is: neither side of a tag is trimmed. Not
/// thread-safe.
class ReasoningSplitter {
 public:
  ReasoningSplitter(ReasoningFormat format, ReasoningStart start);

  /// Takes one byte; appends what is certain to `pieces`, as kReasoning and kContent.
  void push(char byte, AnswerPieces& pieces);
  /// Lets out what was held back. Reasoning that nothing ended is reasoning.
  void finish(AnswerPieces& pieces);

  /// Inside the reasoning, past its start tag.
  bool reasoning() const { return state_ == State::kReasoning && begun_; }
  /// What came last may be the beginning of the end tag.
  bool holds() const { return end_.holds(); }
  bool over() const { return state_ == State::kContent; }

 private:
  enum class State { kLead, kReasoning, kContent };

  void push_lead(char byte, AnswerPieces& pieces);
  /// What stands at the beginning is no start tag: it is text of this state.
  void settle(AnswerPieces& pieces);

  ReasoningTags tags_;
  State after_lead_;
  State state_;
  std::string lead_;
  bool begun_ = false;
  TagScanner end_;
};

}  // namespace bundle::chat
