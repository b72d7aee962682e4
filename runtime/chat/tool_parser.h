// Finds tool calls in an answer while it is written, in the form that its model was taught:
//
//   hermes        <tool_call>{"name": "f", "arguments": {…}}</tool_call>       (Qwen2.5, Qwen3)
//   qwen3_coder   <tool_call><function=f><parameter=x>1</parameter></function></tool_call>
//   deepseek_v3
//   <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{…}\n```
//                 <｜tool▁call▁end｜>…<｜tool▁calls▁end｜>                                 (V3, R1)
//   deepseek_v31  …<｜tool▁call▁begin｜>f<｜tool▁sep｜>{…}<｜tool▁call▁end｜>…
//   llama3        {"name": "f", "parameters": {…}}, also after <|python_tag|>; f.call(x="1")
//   mistral       [TOOL_CALLS][{"name": "f", "arguments": {…}}], [TOOL_CALLS]f[ARGS]{…}
//   kimi_k2       <|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{…}<|tool_call_end|>
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/chat/answer_piece.h"
#include "runtime/chat/call_reader.h"
#include "runtime/chat/tag_scanner.h"

namespace bundle::chat {

enum class ToolFormat {
  kNone,
  kHermes,
  kQwen3Coder,
  kDeepSeekV3,
  kDeepSeekV31,
  kLlama3,
  kMistral,
  kKimiK2,
};

/// The tags of a form that a tokenizer may hold as special tokens: they must reach the parser.
std::vector<std::string> tool_tags(ToolFormat format);

/// One answer's content, byte by byte. What looks like a call and turns out to be none is content.
/// White space around calls is left out. Not thread-safe.
class ToolParser {
 public:
  /// `tools` is the request's list, for the types of parameters; may be null. Without `parallel`
  /// the answer is over after the first call.
  ToolParser(ToolFormat format, std::shared_ptr<const JsonArray> tools, bool parallel);

  void push(char byte, AnswerPieces& pieces);
  void finish(AnswerPieces& pieces);

  bool called() const { return calls_ > 0; }
  /// Nothing that comes is taken any more.
  bool over() const { return over_; }

 private:
  enum class State {
    kStart,    // nothing but white space came
    kText,     // content, in which a call may begin
    kSection,  // inside a section of calls, between two of them
    kOpened,   // after what opens a call
    kCall,     // inside a call
    kCallEnd,  // a call is complete, its end tag is not
  };

  void push_start(char byte, AnswerPieces& pieces);
  void push_text(char byte, AnswerPieces& pieces);
  void push_section(char byte, AnswerPieces& pieces);
  void push_opened(char byte, AnswerPieces& pieces);
  void push_call(char byte, AnswerPieces& pieces);
  void push_call_end(char byte, AnswerPieces& pieces);

  void open(std::size_t opener);
  void begin_call(std::unique_ptr<CallReader> reader);
  void end_call();
  /// What was taken for a call is content.
  void give_up(AnswerPieces& pieces);
  void add_content(std::string_view text, AnswerPieces& pieces);
  std::unique_ptr<CallReader> reader_for(char first);

  const ToolFormat format_;
  const std::shared_ptr<const JsonArray> tools_;
  const bool parallel_;
  State state_ = State::kStart;
  TagScanner openers_;
  TagScanner section_;
  std::unique_ptr<CallReader> reader_;
  std::string raw_;   // since the opener, to be content if there is no call
  std::string gap_;   // white space that is content if content follows
  std::string tail_;  // of a call's end tag
  bool in_array_ = false;
  bool after_tag_ = false;  // Llama's <|python_tag|>
  std::size_t calls_ = 0;
  bool over_ = false;
};

}  // namespace bundle::chat
