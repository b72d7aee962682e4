#include "runtime/chat/call_reader.h"
#include "runtime/chat/json_span.h"
#include "runtime/chat/tag_scanner.h"

namespace bundle::chat {
namespace {

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

/// "functions.get_weather:0" -> "get_weather".
std::string name_in_id(const std::string& id) {
  const std::size_t dot = id.find('.');
  const std::size_t begin = dot == std::string::npos ? 0 : dot + 1;
  return id.substr(begin, id.rfind(':') - begin);
}

class NamedCallReader final : public CallReader {
 public:
  NamedCallReader(NamedCallSyntax syntax, std::size_t index)
      : syntax_(std::move(syntax)),
        index_(index),
        state_(syntax_.type_end.empty() ? State::kName : State::kType),
        type_end_({syntax_.type_end}),
        name_end_(syntax_.name_ends),
        call_end_({syntax_.call_end}) {}

  Step push(char byte, AnswerPieces& pieces) override {
    std::string text;
    switch (state_) {
      case State::kType:
        if (type_end_.push(byte, text)) state_ = State::kName;
        return Step::kMore;
      case State::kName:
        return push_name(byte, pieces);
      case State::kId:
        return push_id(byte, pieces);
      case State::kBeforeArguments:
        return push_before(byte, pieces);
      case State::kArguments:
        return push_arguments(byte, pieces);
      case State::kAfterArguments:
        return call_end_.push(byte, text) ? Step::kDone : Step::kMore;
    }
    return Step::kNoCall;
  }

  bool finish(AnswerPieces&) override { return named_; }

 private:
  enum class State { kType, kName, kId, kBeforeArguments, kArguments, kAfterArguments };

  Step push_name(char byte, AnswerPieces& pieces) {
    // A name begins at once in all of these forms; a line break before it says nothing.
    if (name_.empty() && !name_end_.holds() && (byte == '\n' || byte == ' ')) return Step::kMore;
    const auto found = name_end_.push(byte, name_);
    if (!found) return Step::kMore;
    const std::string& tag = syntax_.name_ends[*found];
    if (!syntax_.id_begin.empty() && tag == syntax_.id_begin) {
      state_ = State::kId;
      return Step::kMore;
    }
    return begin_call(tag == "{" ? '{' : '\0', pieces);
  }

  Step push_id(char byte, AnswerPieces& pieces) {
    const auto found = name_end_.push(byte, id_);
    return found ? begin_call(syntax_.name_ends[*found] == "{" ? '{' : '\0', pieces) : Step::kMore;
  }

  Step begin_call(char first, AnswerPieces& pieces) {
    std::string name = trimmed(name_);
    if (name.empty()) return Step::kNoCall;
    if (syntax_.name_is_id) {
      id_ = name;
      name = name_in_id(name);
    }
    named_ = true;
    pieces.push_back({AnswerPiece::Kind::kCall, std::move(name), index_, trimmed(id_)});
    state_ = State::kBeforeArguments;
    return first == '\0' ? Step::kMore : push(first, pieces);
  }

  Step push_before(char byte, AnswerPieces& pieces) {
    std::string text;
    if (!syntax_.call_end.empty() && call_end_.push(byte, text)) {
      add_text(pieces, AnswerPiece::Kind::kArguments, "{}", index_);
      return Step::kDone;
    }
    if (byte != '{' && byte != '[') return Step::kMore;
    call_end_.finish();
    state_ = State::kArguments;
    return push_arguments(byte, pieces);
  }

  Step push_arguments(char byte, AnswerPieces& pieces) {
    const JsonSpan::Step step = span_.push(byte);
    add_text(pieces, AnswerPiece::Kind::kArguments, std::string(1, byte), index_);
    if (step == JsonSpan::Step::kInside) return Step::kMore;
    if (syntax_.call_end.empty()) return Step::kDone;
    state_ = State::kAfterArguments;
    return Step::kMore;
  }

  const NamedCallSyntax syntax_;
  const std::size_t index_;
  State state_;
  TagScanner type_end_;
  TagScanner name_end_;
  TagScanner call_end_;
  std::string name_;
  std::string id_;
  JsonSpan span_;
  bool named_ = false;
};

}  // namespace

std::unique_ptr<CallReader> named_call_reader(NamedCallSyntax syntax, std::size_t index) {
  return std::make_unique<NamedCallReader>(std::move(syntax), index);
}

}  // namespace bundle::chat
