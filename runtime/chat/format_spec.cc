#include "runtime/chat/format_spec.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "runtime/chat/number.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

bool is_align(char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

/// Reads a decimal number at `at`; an error when it is larger than any sensible width.
Result<std::size_t> read_width(std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + static_cast<std::size_t>(text[at] - '0');
    if (value > kMaxFormatWidth) return render_error("a format's width is too large");
  }
  return value;
}

void read_fill(std::string_view spec, std::size_t& at, FormatSpec& out) {
  if (spec.empty()) return;
  std::size_t next = 0;
  const char32_t first = next_code_point(spec, next);
  if (next < spec.size() && is_align(static_cast<unsigned char>(spec[next]))) {
    out.fill = first;
    out.align = spec[next];
    at = next + 1;
  } else if (is_align(first)) {
    out.align = static_cast<char>(first);
    at = 1;
  }
}

std::string group_digits(const std::string& digits, char separator, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string sign_of(bool negative, char sign) {
  if (negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

std::string print_f(const char* format, int precision, double d) {
  const int size = std::snprintf(nullptr, 0, format, precision, d);
  std::string out(static_cast<std::size_t>(size) + 1, '\0');
  std::snprintf(out.data(), out.size(), format, precision, d);
  out.pop_back();
  return out;
}

/// The digits of a magnitude, by type.
std::string float_digits(double d, const FormatSpec& spec) {
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      return print_f(spec.alternate ? "%#.*e" : "%.*e", precision, d);
    case 'E':
      return print_f(spec.alternate ? "%#.*E" : "%.*E", precision, d);
    case 'f':
      return print_f(spec.alternate ? "%#.*f" : "%.*f", precision, d);
    case 'F':
      return print_f(spec.alternate ? "%#.*F" : "%.*F", precision, d);
    case 'G':
      return print_f(spec.alternate ? "%#.*G" : "%.*G", precision, d);
    case '%':
      return print_f("%.*f", precision, d * 100) + "%";
    case 'g':
    case 'n':
      return print_f(spec.alternate ? "%#.*g" : "%.*g", precision, d);
    default:
      break;
  }
  if (spec.precision < 0) return print_float(d);
  std::string out = print_f("%.*g", std::max(spec.precision, 1), d);
  if (out.find_first_of(".en") == std::string::npos) {
    // Like repr, a float keeps its point; where that needs one digit too many, an exponent.
    if (static_cast<int>(out.size()) < std::max(spec.precision, 1)) return out + ".0";
    return print_f("%.*e", std::max(spec.precision, 1) - 1, d);
  }
  return out;
}

}  // namespace

Result<FormatSpec> parse_format_spec(std::string_view spec) {
  FormatSpec out;
  std::size_t at = 0;
  read_fill(spec, at, out);
  const auto peek = [&] { return at < spec.size() ? spec[at] : '\0'; };
  if (peek() == '+' || peek() == '-' || peek() == ' ') out.sign = spec[at++];
  if (peek() == 'z') {
    out.no_negative_zero = true;
    ++at;
  }
  if (peek() == '#') {
    out.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    if (out.align == 0) {
      out.fill = '0';
      out.align = '=';
    }
    ++at;
  }
  BUNDLE_TRY(out.width, read_width(spec, at));
  if (peek() == ',' || peek() == '_') out.grouping = spec[at++];
  if (peek() == '.') {
    ++at;
    if (peek() < '0' || peek() > '9') return render_error("Format specifier missing precision");
    BUNDLE_TRY(const std::size_t precision, read_width(spec, at));
    out.precision = static_cast<int>(precision);
  }
  if (at < spec.size()) out.type = spec[at++];
  if (at < spec.size()) return render_error("Invalid format specifier '" + std::string(spec) + "'");
  return out;
}

std::string pad(std::string body, std::size_t sign_size, const FormatSpec& spec, char align) {
  const std::size_t length = count_code_points(body);
  if (length >= spec.width) return body;
  const std::size_t missing = spec.width - length;
  const std::size_t left = align == '>' || align == '=' ? missing : align == '^' ? missing / 2 : 0;
  std::string before;
  std::string after;
  for (std::size_t i = 0; i < left; ++i) append_utf8(before, spec.fill);
  for (std::size_t i = left; i < missing; ++i) append_utf8(after, spec.fill);
  if (align == '=') return body.insert(sign_size, before);
  return before + body + after;
}

Result<std::string> format_int(Int n, const FormatSpec& spec) {
  const std::string_view float_types = "eEfFgG%";
  if (spec.type != 0 && float_types.find(spec.type) != std::string_view::npos) {
    return format_float(static_cast<double>(n), spec);
  }
  if (spec.precision >= 0 || spec.no_negative_zero) {
    return render_error("precision and 'z' are not for integers");
  }
  if (spec.type == 'c') {
    if (n < 0 || n > 0x10ffff || (n >= 0xd800 && n < 0xe000)) {
      return render_error("%c arg not in range(0x110000)");
    }
    std::string c;
    append_utf8(c, static_cast<char32_t>(n));
    return pad(std::move(c), 0, spec, spec.align == 0 ? '<' : spec.align);
  }
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  if (base == 10 && spec.type != 0 && spec.type != 'd' && spec.type != 'n') {
    return render_error(std::string("Unknown format code '") + spec.type + "' for an integer");
  }
  std::string lead = sign_of(n < 0, spec.sign);
  if (spec.alternate && base != 10) lead += std::string("0") + spec.type;
  std::string digits = digits_of(n, base, spec.type == 'X');
  if (spec.grouping != 0) digits = group_digits(digits, spec.grouping, base == 10 ? 3 : 4);
  const std::size_t lead_size = lead.size();
  return pad(lead + digits, lead_size, spec, spec.align == 0 ? '>' : spec.align);
}

Result<std::string> format_float(double d, const FormatSpec& spec) {
  const std::string_view types = "eEfFgGn%";
  if (spec.type != 0 && types.find(spec.type) == std::string_view::npos) {
    return render_error(std::string("Unknown format code '") + spec.type + "' for a float");
  }
  if (spec.precision > 1000) return render_error("a format's precision is too large");
  bool negative = std::signbit(d) && !std::isnan(d);
  std::string body;
  if (std::isfinite(d)) {
    body = float_digits(std::abs(d), spec);
    const bool zero =
        body.substr(0, body.find_first_of("eE%")).find_first_of("123456789") == std::string::npos;
    negative = negative && !(zero && spec.no_negative_zero);
  } else {
    body = std::isnan(d) ? "nan" : "inf";
    if (spec.type == 'F' || spec.type == 'E' || spec.type == 'G') body = to_upper(body);
    if (spec.type == '%') body += '%';
  }
  const std::string lead = sign_of(negative, spec.sign);
  if (spec.grouping != 0) {
    const std::size_t whole = std::min(body.find_first_not_of("0123456789"), body.size());
    body = group_digits(body.substr(0, whole), spec.grouping, 3) + body.substr(whole);
  }
  return pad(lead + body, lead.size(), spec, spec.align == 0 ? '>' : spec.align);
}

Result<std::string> format_text(std::string_view text, const FormatSpec& spec) {
  if (spec.type != 0 && spec.type != 's') {
    return render_error(std::string("Unknown format code '") + spec.type + "' for a str");
  }
  if (spec.sign != '-' || spec.alternate || spec.no_negative_zero || spec.grouping != 0 ||
      (spec.align == '=' && spec.fill != '0')) {
    return render_error("the format specifier is not for strings");
  }
  if (spec.precision >= 0) {
    text = text.substr(0, byte_offset(text, static_cast<std::size_t>(spec.precision)));
  }
  const char align = spec.align == 0 || spec.align == '=' ? '<' : spec.align;
  return pad(std::string(text), 0, spec, align);
}

Result<std::string> format_value(Runtime& rt, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_str(rt, value);
  BUNDLE_TRY(const FormatSpec parsed, parse_format_spec(spec));
  if (value.is_integral()) return format_int(value.integral(), parsed);
  if (value.is(Kind::kFloat)) return format_float(value.real(), parsed);
  if (value.is(Kind::kString)) return format_text(value.str(), parsed);
  return render_error("unsupported format string passed to " + std::string(type_name(value)) +
                      ".__format__");
}

}  // namespace bundle::chat
