#include "runtime/chat/json_span.h"

#include <string_view>

namespace bundle::chat {

JsonSpan::Step JsonSpan::push(char byte) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (byte == '\\') {
      escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
      if (depth_ == 0) return Step::kLast;
    }
    return Step::kInside;
  }
  if (scalar_) {
    constexpr std::string_view kEnds = ",]} \t\r\n;";
    return kEnds.find(byte) == std::string_view::npos ? Step::kInside : Step::kAfter;
  }
  if (byte == '"') {
    in_string_ = true;
  } else if (byte == '{' || byte == '[') {
    ++depth_;
  } else if (byte == '}' || byte == ']') {
    if (--depth_ <= 0) return Step::kLast;
  } else if (!begun_) {
    scalar_ = true;
  }
  begun_ = true;
  return Step::kInside;
}

}  // namespace bundle::chat
