#include "runtime/chat/call_reader.h"
#include "runtime/chat/json_span.h"

namespace bundle::chat {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/// The text of a JSON string, or the JSON text of another value.
std::string text_of(const std::string& json) {
  const auto value = parse_json(json, "tool call");
  return value && value->is_string() ? std::string(value->get_string()) : json;
}

class JsonCallReader final : public CallReader {
 public:
  explicit JsonCallReader(std::size_t index) : index_(index) {}

  Step push(char byte, AnswerPieces& pieces) override {
    switch (state_) {
      case State::kStart:
        return expect(byte, '{', State::kKey);
      case State::kKey:
        return push_key_start(byte, pieces);
      case State::kKeyText:
        return push_key(byte);
      case State::kColon:
        return expect(byte, ':', State::kValue);
      case State::kValue:
        if (value_.empty() && is_space(byte)) return Step::kMore;
        return push_value(byte, pieces);
    }
    return Step::kNoCall;
  }

  bool finish(AnswerPieces&) override { return named_; }

 private:
  enum class State { kStart, kKey, kKeyText, kColon, kValue };

  Step expect(char byte, char wanted, State next) {
    if (is_space(byte)) return Step::kMore;
    if (byte != wanted) return broken();
    state_ = next;
    return Step::kMore;
  }

  /// A call whose name is out can not be taken back: it ends here.
  Step broken() const { return named_ ? Step::kDone : Step::kNoCall; }

  Step push_key_start(char byte, AnswerPieces& pieces) {
    if (is_space(byte) || byte == ',') return Step::kMore;
    if (byte == '}') return end(pieces);
    if (byte != '"') return broken();
    key_.clear();
    state_ = State::kKeyText;
    return Step::kMore;
  }

  Step push_key(char byte) {
    if (byte != '"') {
      key_ += byte;
      return Step::kMore;
    }
    constexpr std::string_view kKnown[] = {"name", "arguments", "parameters",
                                           "type", "function",  "id"};
    bool known = false;
    for (const std::string_view name : kKnown) known |= key_ == name;
    if (!known) return broken();
    state_ = State::kColon;
    value_.clear();
    span_ = {};
    return Step::kMore;
  }

  bool in_arguments() const { return key_ == "arguments" || key_ == "parameters"; }

  Step push_value(char byte, AnswerPieces& pieces) {
    const JsonSpan::Step step = span_.push(byte);
    if (step != JsonSpan::Step::kAfter) take_value(byte, pieces);
    if (step == JsonSpan::Step::kInside) return Step::kMore;
    state_ = State::kKey;
    end_value(pieces);
    return step == JsonSpan::Step::kAfter ? push_key_start(byte, pieces) : Step::kMore;
  }

  void take_value(char byte, AnswerPieces& pieces) {
    value_ += byte;
    // A text of arguments holds JSON itself: it is unpacked when it is complete.
    const bool streams = in_arguments() && named_ && value_.front() != '"';
    if (streams) add_arguments(std::string(1, byte), pieces);
  }

  void end_value(AnswerPieces& pieces) {
    if (key_ == "id") id_ = text_of(value_);
    if (in_arguments() && named_ && value_.front() == '"') add_arguments(text_of(value_), pieces);
    if (in_arguments() && !named_) waiting_ = text_of(value_);
    const bool is_name = key_ == "name" || (key_ == "function" && value_.front() == '"');
    if (!is_name || named_) return;
    named_ = true;
    pieces.push_back({AnswerPiece::Kind::kCall, text_of(value_), index_, id_});
    add_arguments(std::exchange(waiting_, {}), pieces);
  }

  void add_arguments(const std::string& text, AnswerPieces& pieces) {
    has_arguments_ |= !text.empty();
    add_text(pieces, AnswerPiece::Kind::kArguments, text, index_);
  }

  Step end(AnswerPieces& pieces) {
    if (!named_) return Step::kNoCall;
    if (!has_arguments_) add_arguments("{}", pieces);
    return Step::kDone;
  }

  const std::size_t index_;
  State state_ = State::kStart;
  std::string key_;
  std::string value_;
  JsonSpan span_;
  std::string id_;
  std::string waiting_;  // arguments that came before the name
  bool named_ = false;
  bool has_arguments_ = false;
};

}  // namespace

std::unique_ptr<CallReader> json_call_reader(std::size_t index) {
  return std::make_unique<JsonCallReader>(index);
}

}  // namespace bundle::chat
