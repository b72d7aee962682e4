#include "runtime/chat/percent_format.h"

#include <cmath>

#include "runtime/chat/format_spec.h"
#include "runtime/chat/html.h"
#include "runtime/chat/number.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const Value& format, const Value& arguments)
      : rt_(rt), text_(format.str()), arguments_(arguments), markup_(format.text().markup) {}

  Result<Value> format() {
    std::string out;
    while (at_ < text_.size()) {
      BUNDLE_CHECK(rt_.spend(1));
      const std::size_t percent = std::min(text_.find('%', at_), text_.size());
      out.append(text_, at_, percent - at_);
      at_ = percent + 1;
      if (percent == text_.size()) break;
      BUNDLE_TRY(const std::string piece, conversion());
      out += piece;
      BUNDLE_CHECK(rt_.check_size(out.size()));
    }
    if (next_ < count() && !maps()) {
      return render_error("not all arguments converted during string formatting");
    }
    return rt_.text(std::move(out), markup_);
  }

 private:
  bool is_tuple() const { return arguments_.is(Kind::kTuple); }
  std::size_t count() const { return is_tuple() ? arguments_.items().size() : 1; }
  /// Whether Python would take the argument for a mapping, which need not be used up.
  bool maps() const {
    return arguments_.is(Kind::kDict) || arguments_.is(Kind::kList) ||
           arguments_.is(Kind::kUndefined) || arguments_.as<Range>() != nullptr;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  Result<Value> next_argument() {
    if (next_ >= count()) return render_error("not enough arguments for format string");
    const std::size_t i = next_++;
    return is_tuple() ? arguments_.items()[i] : arguments_;
  }

  Result<Value> mapped_argument() {
    if (!arguments_.is(Kind::kDict)) return render_error("format requires a mapping");
    const std::size_t start = ++at_;
    for (int open = 1; at_ < text_.size(); ++at_) {
      if (text_[at_] == '(') ++open;
      if (text_[at_] == ')' && --open == 0) break;
    }
    if (at_ == text_.size()) return render_error("incomplete format key");
    const std::string key = text_.substr(start, at_++ - start);
    const Value* value = arguments_.dict().find(key);
    if (value == nullptr) return render_error("the format's dict has no key '" + key + "'");
    return *value;
  }

  Result<int> number_or_star() {
    if (peek() == '*') {
      ++at_;
      BUNDLE_TRY(const Value value, next_argument());
      if (!value.is_integral()) return render_error("* wants int");
      const Int n = value.integral();
      if (n > Int{kMaxFormatWidth} || n < -Int{kMaxFormatWidth})
        return render_error("width too big");
      return static_cast<int>(n);
    }
    int value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + (peek() - '0');
      if (value > static_cast<int>(kMaxFormatWidth)) return render_error("width too big");
    }
    return value;
  }

  void read_flags(FormatSpec& spec, bool& left, bool& zero) {
    for (;; ++at_) {
      switch (peek()) {
        case '-':
          left = true;
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          if (spec.sign == '-') spec.sign = ' ';
          break;
        case '#':
          spec.alternate = true;
          break;
        case '0':
          zero = true;
          break;
        default:
          return;
      }
    }
  }

  Result<std::string> conversion() {
    FormatSpec spec;
    bool left = false;
    bool zero = false;
    std::optional<Value> mapped;
    if (peek() == '(') {
      BUNDLE_TRY(mapped, mapped_argument());
    }
    read_flags(spec, left, zero);
    BUNDLE_TRY(const int width, number_or_star());
    left = left || width < 0;
    spec.width = static_cast<std::size_t>(std::abs(width));
    if (peek() == '.') {
      ++at_;
      BUNDLE_TRY(const int precision, number_or_star());
      spec.precision = std::max(precision, 0);
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    if (at_ >= text_.size()) return render_error("incomplete format");
    const char type = text_[at_++];
    if (type == '%') return std::string("%");
    if (!mapped) {
      BUNDLE_TRY(mapped, next_argument());
    }
    spec.align = left ? '<' : '>';
    return convert(*mapped, type, spec, zero && !left);
  }

  Result<std::string> convert(const Value& value, char type, FormatSpec spec, bool zero) {
    switch (type) {
      case 's':
      case 'r':
      case 'a':
        return convert_text(value, type, spec);
      case 'c':
        return convert_character(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return convert_int(value, type, spec, zero);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        break;
      default:
        return render_error(std::string("unsupported format character '") + type + "'");
    }
    if (value.is(Kind::kUndefined)) return render_error(value.why_undefined());
    if (!value.is_number()) return render_error("must be real number, not " + name(value));
    spec.type = type;
    if (zero) {
      spec.fill = '0';
      spec.align = '=';
    }
    return format_float(value.real(), spec);
  }

  static std::string name(const Value& value) { return std::string(type_name(value)); }

  Result<std::string> convert_text(const Value& value, char type, const FormatSpec& spec) {
    BUNDLE_TRY(std::string text, type == 's' ? to_str(rt_, value) : to_repr(rt_, value));
    const bool safe = value.is(Kind::kString) && value.text().markup && type == 's';
    if (markup_ && !safe) text = escape_html(text);
    FormatSpec plain = spec;
    plain.sign = '-';
    plain.alternate = false;
    return format_text(text, plain);
  }

  static Result<std::string> convert_character(const Value& value, FormatSpec spec) {
    if (value.is(Kind::kString) && value.text().length == 1) {
      spec.precision = -1;
      return format_text(value.str(), spec);
    }
    if (!value.is_integral()) return render_error("%c requires int or char");
    spec.precision = -1;
    spec.type = 'c';
    return format_int(value.integral(), spec);
  }

  static Result<std::string> convert_int(const Value& value, char type, FormatSpec spec,
                                         bool zero) {
    if (value.is(Kind::kUndefined)) return render_error(value.why_undefined());
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    Int n = 0;
    if (value.is_integral()) {
      n = value.integral();
    } else if (value.is(Kind::kFloat) && decimal) {
      const auto whole = truncate_float(value.real());
      if (!whole) return render_error("cannot convert the float to an integer");
      n = *whole;
    } else {
      return render_error(std::string("%") + type + " format: a number is required, not " +
                          name(value));
    }
    const int base = decimal ? 10 : type == 'o' ? 8 : 16;
    std::string lead = n < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (spec.alternate && base != 10) lead += std::string("0") + type;
    std::string digits = digits_of(n, base, type == 'X');
    const auto least = static_cast<std::size_t>(std::max(spec.precision, 0));
    if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
    if (zero) {
      spec.fill = '0';
      spec.align = '=';
    }
    const std::size_t lead_size = lead.size();
    return pad(lead + digits, lead_size, spec, spec.align);
  }

  Runtime& rt_;
  const std::string& text_;
  const Value& arguments_;
  bool markup_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

Result<Value> percent_format(Runtime& rt, const Value& format, const Value& arguments) {
  return PercentFormatter(rt, format, arguments).format();
}

}  // namespace bundle::chat
