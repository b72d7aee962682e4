#include <optional>

#include "runtime/chat/call_reader.h"

namespace bundle::chat {
namespace {

constexpr std::string_view kCall = ".call(";

/// `KEY="VALUE", …)` as an object; nothing when it has another form.
std::optional<JsonObject> arguments_of(std::string_view text) {
  JsonObject out;
  while (true) {
    while (text.starts_with(' ') || text.starts_with(',')) text.remove_prefix(1);
    if (text.starts_with(')')) return out;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    if (!text.starts_with('"')) return std::nullopt;
    // The value is not escaped: it ends at the quote that another key or the end follows.
    std::size_t end = text.find('"', 1);
    while (end != std::string_view::npos && end + 1 < text.size() && text[end + 1] != ',' &&
           text[end + 1] != ')') {
      end = text.find('"', end + 1);
    }
    if (end == std::string_view::npos) return std::nullopt;
    out[key] = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
  }
}

class BuiltinCallReader final : public CallReader {
 public:
  explicit BuiltinCallReader(std::size_t index) : index_(index) {}

  Step push(char byte, AnswerPieces&) override {
    text_ += byte;
    return Step::kMore;
  }

  bool finish(AnswerPieces& pieces) override {
    const std::size_t at = text_.find(kCall);
    if (at == std::string::npos || at == 0) return false;
    const auto arguments = arguments_of(std::string_view(text_).substr(at + kCall.size()));
    if (!arguments) return false;
    pieces.push_back({AnswerPiece::Kind::kCall, text_.substr(0, at), index_, {}});
    add_text(pieces, AnswerPiece::Kind::kArguments, print_json(Json(*arguments)), index_);
    return true;
  }

 private:
  const std::size_t index_;
  std::string text_;
};

}  // namespace

std::unique_ptr<CallReader> builtin_call_reader(std::size_t index) {
  return std::make_unique<BuiltinCallReader>(index);
}

}  // namespace bundle::chat
