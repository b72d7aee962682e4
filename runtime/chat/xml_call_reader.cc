#include "runtime/chat/call_reader.h"
#include "runtime/chat/tag_scanner.h"

namespace bundle::chat {
namespace {

/// A parameter's schema in the request's tools, or null.
const Json* schema_of(const JsonArray* tools, std::string_view function, std::string_view key) {
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const Json* described = find((*tools)[i], "function");
    const Json* name = described == nullptr ? nullptr : find(*described, "name");
    if (name == nullptr || !name->is_string() || name->get_string() != function) continue;
    const Json* parameters = find(*described, "parameters");
    const Json* properties = parameters == nullptr ? nullptr : find(*parameters, "properties");
    return properties == nullptr ? nullptr : find(*properties, key);
  }
  return nullptr;
}

/// What no schema describes is a string, as the models' own parsers have it.
bool is_text(const Json* schema) {
  if (schema == nullptr) return true;
  const Json* type = find(*schema, "type");
  if (type == nullptr) return find(*schema, "anyOf") == nullptr && find(*schema, "$ref") == nullptr;
  return type->is_string() && type->get_string() == "string";
}

/// The inside of a JSON string.
std::string escaped(std::string_view text) {
  const std::string quoted = print_json(Json(text));
  return quoted.substr(1, quoted.size() - 2);
}

class XmlCallReader final : public CallReader {
 public:
  XmlCallReader(std::shared_ptr<const JsonArray> tools, std::size_t index)
      : tools_(std::move(tools)), index_(index) {}

  Step push(char byte, AnswerPieces& pieces) override {
    switch (state_) {
      case State::kFunction:
        return push_function(byte, pieces);
      case State::kParameters:
        return push_parameters(byte, pieces);
      case State::kKey:
        return push_key(byte, pieces);
      case State::kValue:
        return push_value(byte, pieces);
    }
    return Step::kNoCall;
  }

  bool finish(AnswerPieces&) override { return !function_.empty() && state_ != State::kFunction; }

 private:
  enum class State { kFunction, kParameters, kKey, kValue };

  /// Up to the ">" of `<function=NAME>`.
  Step push_function(char byte, AnswerPieces& pieces) {
    constexpr std::string_view kOpen = "<function=";
    if (lead_.empty() && (byte == '\n' || byte == ' ' || byte == '\r' || byte == '\t')) {
      return Step::kMore;
    }
    if (lead_.size() < kOpen.size()) {
      if (byte != kOpen[lead_.size()]) return Step::kNoCall;
      lead_ += byte;
      return Step::kMore;
    }
    if (byte != '>') {
      function_ += byte;
      return Step::kMore;
    }
    if (function_.empty()) return Step::kNoCall;
    pieces.push_back({AnswerPiece::Kind::kCall, function_, index_, {}});
    add("{", pieces);
    state_ = State::kParameters;
    return Step::kMore;
  }

  Step push_parameters(char byte, AnswerPieces& pieces) {
    std::string between;
    const auto found = tags_.push(byte, between);
    if (!found) return Step::kMore;
    if (*found == 1) {
      add("}", pieces);
      return Step::kDone;
    }
    key_.clear();
    state_ = State::kKey;
    return Step::kMore;
  }

  Step push_key(char byte, AnswerPieces& pieces) {
    if (byte != '>') {
      key_ += byte;
      return Step::kMore;
    }
    add(parameters_++ == 0 ? "" : ", ", pieces);
    add(print_json(Json(key_)) + ": ", pieces);
    text_ = is_text(schema_of(tools_.get(), function_, key_));
    if (text_) add("\"", pieces);
    value_.clear();
    begun_ = false;
    utf8_.clear();
    state_ = State::kValue;
    return Step::kMore;
  }

  Step push_value(char byte, AnswerPieces& pieces) {
    // One line break belongs to the form, not to the value.
    if (!std::exchange(begun_, true) && byte == '\n') return Step::kMore;
    std::string sure;
    const auto found = value_end_.push(byte, sure);
    if (text_) {
      add_string(sure, pieces);
    } else {
      value_ += sure;
    }
    if (!found) return Step::kMore;
    end_value(pieces);
    state_ = State::kParameters;
    return Step::kMore;
  }

  /// Whole characters only: an escape may not cut one.
  void add_string(const std::string& bytes, AnswerPieces& pieces) {
    for (const char byte : bytes) {
      const bool continues = (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
      if (!continues) add(escaped(std::exchange(utf8_, {})), pieces);
      utf8_ += byte;
    }
  }

  void end_value(AnswerPieces& pieces) {
    if (text_) {
      add(escaped(std::exchange(utf8_, {})) + "\"", pieces);
      return;
    }
    const auto value = parse_json(value_, "parameter");
    add(value ? value_ : print_json(Json(value_)), pieces);
  }

  void add(const std::string& text, AnswerPieces& pieces) const {
    add_text(pieces, AnswerPiece::Kind::kArguments, text, index_);
  }

  const std::shared_ptr<const JsonArray> tools_;
  const std::size_t index_;
  State state_ = State::kFunction;
  TagScanner tags_{{"<parameter=", "</function>"}};
  TagScanner value_end_{{"\n</parameter>", "</parameter>"}};
  std::string lead_;
  std::string function_;
  std::string key_;
  std::string value_;
  std::string utf8_;  // a character that is not complete yet
  bool text_ = true;
  bool begun_ = false;
  int parameters_ = 0;
};

}  // namespace

std::unique_ptr<CallReader> xml_call_reader(std::shared_ptr<const JsonArray> tools,
                                            std::size_t index) {
  return std::make_unique<XmlCallReader>(std::move(tools), index);
}

}  // namespace bundle::chat
