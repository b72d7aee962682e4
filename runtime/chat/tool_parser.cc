#include "runtime/chat/tool_parser.h"

#include <utility>

namespace bundle::chat {
namespace {

constexpr std::string_view kCallEndTag = "</tool_call>";

/// How calls are found in content.
struct Shape {
  std::vector<std::string> openers;  // of a call, or of a section of calls
  std::string call_begin = {};       // with sections: opens a call; may also stand alone
  std::string section_end = {};
};

const Shape& shape_of(ToolFormat format) {
  static const Shape none;
  static const Shape tool_call{{"<tool_call>"}};
  static const Shape deepseek{{"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
                              "<｜tool▁call▁begin｜>",
                              "<｜tool▁calls▁end｜>"};
  static const Shape llama{{"<|python_tag|>"}};
  static const Shape mistral{{"[TOOL_CALLS]"}};
  static const Shape kimi{{"<|tool_calls_section_begin|>", "<|tool_call_begin|>"},
                          "<|tool_call_begin|>",
                          "<|tool_calls_section_end|>"};
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kQwen3Coder:
      return tool_call;
    case ToolFormat::kDeepSeekV3:
    case ToolFormat::kDeepSeekV31:
      return deepseek;
    case ToolFormat::kLlama3:
      return llama;
    case ToolFormat::kMistral:
      return mistral;
    case ToolFormat::kKimiK2:
      return kimi;
    case ToolFormat::kNone:
      break;
  }
  return none;
}

NamedCallSyntax named_syntax(ToolFormat format) {
  switch (format) {
    case ToolFormat::kDeepSeekV3:
      return {.type_end = "<｜tool▁sep｜>", .name_ends = {"\n"}, .call_end = "<｜tool▁call▁end｜>"};
    case ToolFormat::kDeepSeekV31:
      return {.name_ends = {"<｜tool▁sep｜>"}, .call_end = "<｜tool▁call▁end｜>"};
    case ToolFormat::kKimiK2:
      return {.name_ends = {"<|tool_call_argument_begin|>"},
              .call_end = "<|tool_call_end|>",
              .name_is_id = true};
    default:  // Mistral
      return {.name_ends = {"[CALL_ID]", "[ARGS]", "{"}, .id_begin = "[CALL_ID]"};
  }
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

bool has_end_tag(ToolFormat format) {
  return format == ToolFormat::kHermes || format == ToolFormat::kQwen3Coder;
}

}  // namespace

std::vector<std::string> tool_tags(ToolFormat format) {
  const Shape& shape = shape_of(format);
  std::vector<std::string> tags = shape.openers;
  if (!shape.section_end.empty()) tags.push_back(shape.section_end);
  if (has_end_tag(format)) tags.emplace_back(kCallEndTag);
  const bool named = format == ToolFormat::kDeepSeekV3 || format == ToolFormat::kDeepSeekV31 ||
                     format == ToolFormat::kKimiK2 || format == ToolFormat::kMistral;
  if (!named) return tags;
  const NamedCallSyntax syntax = named_syntax(format);
  for (const std::string& tag : {syntax.type_end, syntax.call_end}) {
    if (!tag.empty()) tags.push_back(tag);
  }
  for (const std::string& tag : syntax.name_ends) {
    if (tag.size() > 1) tags.push_back(tag);
  }
  return tags;
}

ToolParser::ToolParser(ToolFormat format, std::shared_ptr<const JsonArray> tools, bool parallel)
    : format_(format),
      tools_(std::move(tools)),
      parallel_(parallel),
      openers_(shape_of(format).openers),
      section_({shape_of(format).call_begin, shape_of(format).section_end}) {}

void ToolParser::push(char byte, AnswerPieces& pieces) {
  if (over_) return;
  switch (state_) {
    case State::kStart:
      return push_start(byte, pieces);
    case State::kText:
      return push_text(byte, pieces);
    case State::kSection:
      return push_section(byte, pieces);
    case State::kOpened:
      return push_opened(byte, pieces);
    case State::kCall:
      return push_call(byte, pieces);
    case State::kCallEnd:
      return push_call_end(byte, pieces);
  }
}

void ToolParser::push_start(char byte, AnswerPieces& pieces) {
  if (is_space(byte)) {
    gap_ += byte;
    return;
  }
  if (format_ == ToolFormat::kLlama3 && byte == '{') {
    state_ = State::kOpened;
    return push_opened(byte, pieces);
  }
  state_ = State::kText;
  push_text(byte, pieces);
}

void ToolParser::push_text(char byte, AnswerPieces& pieces) {
  std::string text;
  const auto opener = openers_.push(byte, text);
  add_content(text, pieces);
  if (opener) open(*opener);
}

void ToolParser::open(std::size_t opener) {
  const Shape& shape = shape_of(format_);
  raw_ = shape.openers[opener];
  in_array_ = false;
  after_tag_ = format_ == ToolFormat::kLlama3;
  if (shape.call_begin.empty()) {
    state_ = State::kOpened;
  } else if (raw_ == shape.call_begin) {
    begin_call(reader_for('\0'));
  } else {
    state_ = State::kSection;
  }
}

void ToolParser::push_section(char byte, AnswerPieces&) {
  std::string between;
  const auto found = section_.push(byte, between);
  if (!found) return;
  if (*found == 1) {
    state_ = State::kText;
    return;
  }
  raw_ = shape_of(format_).call_begin;
  begin_call(reader_for('\0'));
}

/// Between what opens calls and the next call.
void ToolParser::push_opened(char byte, AnswerPieces& pieces) {
  if (is_space(byte)) {
    raw_ += byte;
    return;
  }
  const bool separates = byte == ',' || byte == ';';
  if (separates && (in_array_ || (format_ == ToolFormat::kLlama3 && calls_ > 0))) return;
  if (format_ == ToolFormat::kMistral && byte == '[' && !in_array_) {
    in_array_ = true;
    raw_ += byte;
    return;
  }
  if (in_array_ && byte == ']') {
    state_ = State::kText;
    return;
  }
  auto reader = reader_for(byte);
  if (reader == nullptr) {
    state_ = State::kText;
    if (calls_ == 0) add_content(std::exchange(raw_, {}), pieces);
    return push_text(byte, pieces);
  }
  begin_call(std::move(reader));
  push_call(byte, pieces);
}

std::unique_ptr<CallReader> ToolParser::reader_for(char first) {
  switch (format_) {
    case ToolFormat::kHermes:
      return json_call_reader(calls_);
    case ToolFormat::kQwen3Coder:
      return xml_call_reader(tools_, calls_);
    case ToolFormat::kLlama3:
      if (first == '{') return json_call_reader(calls_);
      return after_tag_ && calls_ == 0 ? builtin_call_reader(calls_) : nullptr;
    case ToolFormat::kMistral:
      if (in_array_) return first == '{' ? json_call_reader(calls_) : nullptr;
      return named_call_reader(named_syntax(format_), calls_);
    default:
      return named_call_reader(named_syntax(format_), calls_);
  }
}

void ToolParser::begin_call(std::unique_ptr<CallReader> reader) {
  reader_ = std::move(reader);
  state_ = State::kCall;
}

void ToolParser::push_call(char byte, AnswerPieces& pieces) {
  raw_ += byte;
  switch (reader_->push(byte, pieces)) {
    case CallReader::Step::kMore:
      return;
    case CallReader::Step::kDone:
      return end_call();
    case CallReader::Step::kNoCall:
      return give_up(pieces);
  }
}

void ToolParser::end_call() {
  ++calls_;
  gap_.clear();
  raw_.clear();
  tail_.clear();
  reader_.reset();
  over_ = !parallel_;
  if (has_end_tag(format_)) {
    state_ = State::kCallEnd;
  } else if (!shape_of(format_).call_begin.empty()) {
    state_ = State::kSection;
  } else if (format_ == ToolFormat::kLlama3 || in_array_) {
    state_ = State::kOpened;
  } else {
    state_ = State::kText;
  }
}

void ToolParser::push_call_end(char byte, AnswerPieces& pieces) {
  if (tail_.empty() && is_space(byte)) return;
  tail_ += byte;
  if (tail_ == kCallEndTag) {
    state_ = State::kText;
  } else if (!kCallEndTag.starts_with(tail_)) {
    state_ = State::kText;
    for (const char c : std::exchange(tail_, {})) push_text(c, pieces);
  }
}

void ToolParser::give_up(AnswerPieces& pieces) {
  reader_.reset();
  state_ = State::kText;
  add_content(std::exchange(raw_, {}), pieces);
}

void ToolParser::add_content(std::string_view text, AnswerPieces& pieces) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) {
    gap_ += text;
    return;
  }
  add_text(pieces, AnswerPiece::Kind::kContent, std::exchange(gap_, {}));
  add_text(pieces, AnswerPiece::Kind::kContent, text.substr(0, last + 1));
  gap_ = text.substr(last + 1);
}

void ToolParser::finish(AnswerPieces& pieces) {
  if (over_) return;
  if (state_ == State::kCall) {
    const bool named = reader_->finish(pieces);
    if (named) ++calls_;
    if (!named) add_content(raw_, pieces);
  } else if (state_ == State::kOpened && calls_ == 0) {
    add_content(raw_, pieces);
  }
  add_content(openers_.finish(), pieces);
  if (calls_ == 0) add_text(pieces, AnswerPiece::Kind::kContent, std::exchange(gap_, {}));
}

}  // namespace bundle::chat
