#include "runtime/chat/lexer.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "runtime/chat/number.h"
#include "runtime/chat/string_literal.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(const SourceText& source) : source_(source), text_(source.text()) {}

  Result<std::vector<Token>> run() {
    while (at_ < text_.size()) BUNDLE_CHECK(lex_data_and_tag());
    push(TokenType::kEnd, at_, "");
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool looking_at(std::string_view what, std::size_t from) const {
    return text_.compare(from, what.size(), what) == 0;
  }
  Error error(std::size_t at, std::string what) const {
    return source_.error_at(static_cast<std::uint32_t>(at), std::move(what));
  }
  void push(TokenType type, std::size_t at, std::string text, Value value = {}) {
    tokens_.push_back({type, static_cast<std::uint32_t>(at), std::move(text), std::move(value)});
  }
  std::size_t skip_space(std::size_t from) const {
    return text_.size() - strip(std::string_view(text_).substr(from), true, false).size();
  }
  /// Moves to `to`, and notes whether that is the start of a line.
  void move_to(std::size_t to) {
    line_starting_ = to > at_ ? text_[to - 1] == '\n' : line_starting_;
    at_ = to;
  }

  std::size_t find_tag(std::size_t from) const {
    for (std::size_t i = text_.find('{', from); i != std::string::npos;
         i = text_.find('{', i + 1)) {
      const char next = i + 1 < text_.size() ? text_[i + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') return i;
    }
    return std::string::npos;
  }

  /// Emits the text before a tag at `end`, less the white space that the tag takes with it.
  void push_data(std::size_t end, char sign, bool is_variable) {
    std::string_view data = std::string_view(text_).substr(at_, end - at_);
    if (sign == '-') {
      data = strip(data, false, true);
    } else if (sign != '+' && !is_variable) {
      const std::size_t line = data.rfind('\n') + 1;  // 0 when there is none
      if ((line > 0 || line_starting_) && strip(data.substr(line)).empty()) {
        data = data.substr(0, line);
      }
    }
    if (!data.empty()) push(TokenType::kData, at_, std::string(data));
  }

  static bool is_sign(char c) { return c == '-' || c == '+'; }

  Status lex_data_and_tag() {
    const std::size_t tag = find_tag(at_);
    if (tag == std::string::npos) {
      push(TokenType::kData, at_, text_.substr(at_));
      at_ = text_.size();
      return {};
    }
    const char kind = text_[tag + 1];
    const char after = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    const char sign = is_sign(after) ? after : '\0';
    push_data(tag, sign, kind == '{');
    const std::size_t body = tag + (sign == '\0' ? 2 : 3);
    if (kind == '#') return lex_comment(tag, body);
    if (kind == '%') {
      const std::size_t raw = raw_begin_end(body);
      if (raw != 0) return lex_raw(tag, raw);
    }
    push(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, tag, "");
    move_to(body);
    return lex_tag(kind == '{');
  }

  /// The end of the closing delimiter at `from` ("%}" or "#}"), or 0. Takes "+" and "-" before it,
  /// and the white space or line end behind it.
  std::size_t end_of_close(std::size_t from, std::string_view close) const {
    if (looking_at(close, from)) {
      const std::size_t end = from + close.size();
      return end < text_.size() && text_[end] == '\n' ? end + 1 : end;
    }
    if (from + 1 > text_.size() || !looking_at(close, from + 1)) return 0;
    if (text_[from] == '+') return from + 1 + close.size();
    if (text_[from] == '-') return skip_space(from + 1 + close.size());
    return 0;
  }

  Status lex_comment(std::size_t tag, std::size_t body) {
    for (std::size_t i = text_.find("#}", body); i != std::string::npos;
         i = text_.find("#}", i + 1)) {
      // A sign belongs to the end of the comment unless it opened it.
      const std::size_t from = i > body && is_sign(text_[i - 1]) ? i - 1 : i;
      move_to(end_of_close(from, "#}"));
      return {};
    }
    return error(tag, "Missing end of comment tag");
  }

  /// The end of a raw tag whose name stands at `body`, or 0 when it is another tag.
  std::size_t raw_begin_end(std::size_t body) const {
    std::size_t i = skip_space(body);
    if (!looking_at("raw", i)) return 0;
    i = skip_space(i + 3);
    if (looking_at("-%}", i)) return skip_space(i + 3);
    return looking_at("%}", i) ? i + 2 : 0;
  }

  Status lex_raw(std::size_t tag, std::size_t body) {
    move_to(body);
    for (std::size_t i = text_.find("{%", body); i != std::string::npos;
         i = text_.find("{%", i + 1)) {
      const char sign = i + 2 < text_.size() && is_sign(text_[i + 2]) ? text_[i + 2] : '\0';
      std::size_t name = skip_space(i + (sign == '\0' ? 2 : 3));
      if (!looking_at("endraw", name)) continue;
      const std::size_t end = end_of_close(skip_space(name + 6), "%}");
      if (end == 0) continue;
      push_data(i, sign, false);
      move_to(end);
      return {};
    }
    return error(tag, "Missing end of raw directive");
  }

  /// The end of the tag when one stands here, else 0. Inside brackets none does.
  std::size_t tag_end(bool is_variable) const {
    if (!open_.empty()) return 0;
    if (!is_variable) return end_of_close(at_, "%}");
    if (looking_at("}}", at_)) return at_ + 2;
    return looking_at("-}}", at_) ? skip_space(at_ + 3) : 0;
  }

  Status lex_tag(bool is_variable) {
    open_.clear();
    while (at_ < text_.size()) {
      if (const std::size_t end = tag_end(is_variable); end != 0) {
        push(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd, at_, "");
        move_to(end);
        return {};
      }
      if (const std::size_t next = skip_space(at_); next != at_) {
        move_to(next);
        continue;
      }
      BUNDLE_CHECK(lex_token());
    }
    return {};
  }

  Status lex_token() {
    line_starting_ = false;
    const char c = peek();
    if (is_ascii_digit(c)) return lex_number();
    if (c == '\'' || c == '"') return lex_string();
    std::size_t next = at_;
    if (is_name_part(next_code_point(text_, next))) return lex_name();
    return lex_operator();
  }

  /// The end of digits with single underscores between them, or `from` when there are none.
  std::size_t digits_end(std::size_t from) const {
    std::size_t i = from;
    const auto digit = [&](std::size_t at) {
      return at < text_.size() && is_ascii_digit(text_[at]);
    };
    while (digit(i) || (i > from && i < text_.size() && text_[i] == '_' && digit(i + 1))) ++i;
    return i;
  }

  /// The end of a float that starts here, or at_ when it is none.
  std::size_t float_end() const {
    if (at_ > 0 && text_[at_ - 1] == '.') return at_;
    const std::size_t whole = digits_end(at_);
    std::size_t end = whole;
    if (end < text_.size() && text_[end] == '.') {
      const std::size_t fraction = digits_end(end + 1);
      if (fraction > end + 1) end = fraction;
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      const bool sign = end + 1 < text_.size() && is_sign(text_[end + 1]);
      const std::size_t start = end + (sign ? 2 : 1);
      const std::size_t exponent = digits_end(start);
      if (exponent > start) end = exponent;
    }
    return end > whole ? end : at_;
  }

  std::size_t integer_end() const {
    const char letter = static_cast<char>(peek(1) | 0x20);
    const std::string_view digits = letter == 'b'   ? "01"
                                    : letter == 'o' ? "01234567"
                                    : letter == 'x' ? "0123456789abcdefABCDEF"
                                                    : "";
    std::size_t end = at_ + 1;
    if (peek() != '0') return digits_end(at_);
    if (!digits.empty()) {
      std::size_t i = at_ + 2;
      while (i < text_.size()) {
        const std::size_t digit = i + (text_[i] == '_' ? 1 : 0);
        if (digit >= text_.size() || digits.find(text_[digit]) == std::string_view::npos) break;
        i = digit + 1;
      }
      if (i > at_ + 2) return i;
    }
    while (end < text_.size()) {
      const std::size_t digit = end + (text_[end] == '_' ? 1 : 0);
      if (digit >= text_.size() || text_[digit] != '0') break;
      end = digit + 1;
    }
    return end;
  }

  Status lex_number() {
    const std::size_t fraction_end = float_end();
    const bool is_float = fraction_end != at_;
    const std::size_t end = is_float ? fraction_end : integer_end();
    std::string digits = text_.substr(at_, end - at_);
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    if (is_float) {
      push(TokenType::kFloat, at_, digits, Value(std::strtod(digits.c_str(), nullptr)));
    } else {
      const auto value = parse_int(digits, 0);
      if (!value) return error(at_, "the integer " + digits + " does not fit into 128 bits");
      push(TokenType::kInteger, at_, digits, Value(*value));
    }
    at_ = end;
    return {};
  }

  Status lex_string() {
    const char delimiter = peek();
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != delimiter) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return error(at_, "the string has no end");
    auto value = unescape_literal(std::string_view(text_).substr(at_ + 1, end - at_ - 1));
    if (!value) return error(at_, "the string has a bad escape sequence");
    push(TokenType::kString, at_, *std::move(value));
    at_ = end + 1;
    return {};
  }

  Status lex_name() {
    std::size_t end = at_;
    std::size_t next = at_;
    if (!is_name_start(next_code_point(text_, next))) {
      return error(at_, "Invalid character in identifier");
    }
    for (; next <= text_.size();) {
      end = next;
      if (next == text_.size() || !is_name_part(next_code_point(text_, next))) break;
    }
    push(TokenType::kName, at_, text_.substr(at_, end - at_));
    at_ = end;
    return {};
  }

  Status lex_operator() {
    constexpr std::array<std::string_view, 6> kDouble = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    std::string op(1, peek());
    for (const auto candidate : kDouble) {
      if (looking_at(candidate, at_)) op = candidate;
    }
    if (op.size() == 1 && kSingle.find(op[0]) == std::string_view::npos) {
      std::size_t next = at_;
      next_code_point(text_, next);
      return error(at_, "unexpected character '" + text_.substr(at_, next - at_) + "'");
    }
    BUNDLE_CHECK(balance(op[0]));
    push(TokenType::kOperator, at_, op);
    at_ += op.size();
    return {};
  }

  Status balance(char c) {
    if (c == '(') open_ += ')';
    if (c == '[') open_ += ']';
    if (c == '{') open_ += '}';
    if (c != ')' && c != ']' && c != '}') return {};
    if (open_.empty()) return error(at_, std::string("unexpected '") + c + "'");
    if (open_.back() != c) {
      return error(at_, std::string("unexpected '") + c + "', expected '" + open_.back() + "'");
    }
    open_.pop_back();
    return {};
  }

  const SourceText& source_;
  const std::string& text_;
  std::vector<Token> tokens_;
  std::string open_;  // the closing brackets that are due
  std::size_t at_ = 0;
  bool line_starting_ = true;
};

}  // namespace

Result<std::vector<Token>> tokenize(const SourceText& source) { return Lexer(source).run(); }

}  // namespace bundle::chat
