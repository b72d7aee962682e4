#include "runtime/chat/number.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "runtime/chat/runtime.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

__extension__ using Unsigned = unsigned __int128;
__extension__ using Wide = __float128;

Unsigned magnitude(Int n) {
  return n < 0 ? Unsigned{0} - static_cast<Unsigned>(n) : static_cast<Unsigned>(n);
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

/// Takes "0x", "0o" or "0b" off when the base allows it, and settles base 0. False: no number.
bool take_prefix(std::string_view& text, int& base, bool& prefixed) {
  const char letter = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : ' ';
  const int named = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  prefixed = named != 0 && (base == 0 || base == named);
  if (prefixed) {
    base = named;
    text.remove_prefix(2);
  } else if (base == 0) {
    base = 10;
    const bool zeros = text.find_first_not_of("0_") == std::string_view::npos;
    if (text.size() > 1 && text[0] == '0' && !zeros) return false;
  }
  return true;
}

/// Takes single underscores between digits out. Nothing when one stands elsewhere.
std::optional<std::string> drop_underscores(std::string_view text, bool leading_allowed) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool after_digit = i > 0 ? digit_value(text[i - 1]) < 99 : leading_allowed;
    if (!after_digit || i + 1 == text.size() || digit_value(text[i + 1]) == 99) return {};
  }
  return out;
}

/// Replaces decimal digits of other scripts by ASCII ones.
std::string ascii_digits(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c < 0x80 || !is_decimal(c)) {
      append_utf8(out, c);
      continue;
    }
    // Digits stand in runs of ten whose zero begins a run.
    char32_t zero = c;
    while (c - zero < 9 && is_decimal(zero - 1)) --zero;
    out += static_cast<char>('0' + (c - zero) % 10);
  }
  return out;
}

Error too_large() { return render_error("an integer does not fit into 128 bits"); }
Error division_by_zero() { return render_error("division by zero"); }

Int floor_div(Int a, Int b) {
  const Int q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

double float_mod(double a, double b) {
  double r = std::fmod(a, b);
  if (r != 0 && (b < 0) != (r < 0)) r += b;
  return r == 0 ? std::copysign(0.0, b) : r;
}

double float_floor_div(double a, double b) {
  const double r = float_mod(a, b);
  const double q = (a - r) / b;
  if (q == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(q);
  return q - floored > 0.5 ? floored + 1 : floored;
}

Result<Value> int_power(Int base, Int exponent) {
  Int result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return too_large();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return too_large();
  }
  return Value(result);
}

}  // namespace

std::string digits_of(Int n, int base, bool upper) {
  const char* symbols = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  Unsigned left = magnitude(n);
  do {
    out += symbols[static_cast<int>(left % static_cast<unsigned>(base))];
    left /= static_cast<unsigned>(base);
  } while (left != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string print_int(Int n) { return (n < 0 ? "-" : "") + digits_of(n, 10); }

std::string print_float(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), d, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const int size = std::abs(exponent);
    return out + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::optional<Int> parse_int(std::string_view text, int base) {
  if (base != 0 && (base < 2 || base > 36)) return {};
  const std::string plain = ascii_digits(strip(text));
  std::string_view left = plain;
  const bool negative = !left.empty() && left[0] == '-';
  if (!left.empty() && (left[0] == '-' || left[0] == '+')) left.remove_prefix(1);
  bool prefixed = false;
  if (!take_prefix(left, base, prefixed)) return {};
  const auto digits = drop_underscores(left, prefixed);
  if (!digits || digits->empty()) return {};
  Int value = 0;
  for (const char c : *digits) {
    const int digit = digit_value(c);
    if (digit >= base) return {};
    if (__builtin_mul_overflow(value, Int{base}, &value) ||
        __builtin_add_overflow(value, Int{digit}, &value)) {
      return {};
    }
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto plain = drop_underscores(ascii_digits(strip(text)), false);
  if (!plain || plain->empty()) return {};
  std::string lower = *plain;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string word = lower.substr(lower[0] == '-' || lower[0] == '+' ? 1 : 0);
  if (word == "inf" || word == "infinity" || word == "nan") {
    const double value = word == "nan" ? std::nan("") : HUGE_VAL;
    return lower[0] == '-' ? -value : value;
  }
  if (lower.find_first_not_of("0123456789+-.e") != std::string::npos) return {};
  char* end = nullptr;
  const double value = std::strtod(lower.c_str(), &end);
  if (end != lower.c_str() + lower.size()) return {};
  return value;
}

std::optional<Int> truncate_float(double d) {
  if (!std::isfinite(d) || std::abs(d) >= 1.7e38) return {};
  return static_cast<Int>(d);
}

double round_float(double d, int digits) {
  if (!std::isfinite(d) || digits > 323) return d;
  if (digits < -308) return 0.0 * d;
  if (digits >= 0) {
    // printf rounds the exact binary value, ties to even: what Python does.
    std::string buffer(static_cast<std::size_t>(digits) + 330, '\0');
    std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, d);
    return std::strtod(buffer.c_str(), nullptr);
  }
  const double scale = std::pow(10.0, -digits);
  return std::nearbyint(d / scale) * scale;
}

Int round_int(Int n, int digits) {
  if (digits >= 0) return n;
  if (digits < -38) return 0;
  Int scale = 1;
  for (int i = 0; i < -digits; ++i) scale *= 10;
  const Int low = floor_div(n, scale);
  const Int rest = n - low * scale;
  const bool up = rest * 2 > scale || (rest * 2 == scale && (low & 1) != 0);
  return (low + (up ? 1 : 0)) * scale;
}

Result<Value> add_numbers(const Value& a, const Value& b) {
  if (!a.is_integral() || !b.is_integral()) return Value(a.real() + b.real());
  Int sum;
  if (__builtin_add_overflow(a.integral(), b.integral(), &sum)) return too_large();
  return Value(sum);
}

Result<Value> subtract(const Value& a, const Value& b) {
  if (!a.is_integral() || !b.is_integral()) return Value(a.real() - b.real());
  Int difference;
  if (__builtin_sub_overflow(a.integral(), b.integral(), &difference)) return too_large();
  return Value(difference);
}

Result<Value> multiply(const Value& a, const Value& b) {
  if (!a.is_integral() || !b.is_integral()) return Value(a.real() * b.real());
  Int product;
  if (__builtin_mul_overflow(a.integral(), b.integral(), &product)) return too_large();
  return Value(product);
}

Result<Value> divide(const Value& a, const Value& b) {
  if (b.real() == 0) return division_by_zero();
  if (!a.is_integral() || !b.is_integral()) return Value(a.real() / b.real());
  // Exact integers, then one rounding; a double could not hold them.
  return Value(
      static_cast<double>(static_cast<Wide>(a.integral()) / static_cast<Wide>(b.integral())));
}

Result<Value> floor_divide(const Value& a, const Value& b) {
  if (b.real() == 0) return division_by_zero();
  if (!a.is_integral() || !b.is_integral()) return Value(float_floor_div(a.real(), b.real()));
  if (b.integral() == -1) return subtract(Value::integer(0), a);
  return Value(floor_div(a.integral(), b.integral()));
}

Result<Value> modulo(const Value& a, const Value& b) {
  if (b.real() == 0) return division_by_zero();
  if (!a.is_integral() || !b.is_integral()) return Value(float_mod(a.real(), b.real()));
  if (b.integral() == -1) return Value::integer(0);
  const Int r = a.integral() % b.integral();
  return Value(r != 0 && (r < 0) != (b.integral() < 0) ? r + b.integral() : r);
}

Result<Value> power(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral() && b.integral() >= 0) {
    return int_power(a.integral(), b.integral());
  }
  const double x = a.real();
  const double y = b.real();
  if (x == 0 && y < 0) return render_error("0.0 cannot be raised to a negative power");
  if (x < 0 && std::isfinite(x) && std::isfinite(y) && y != std::floor(y)) {
    return render_error("a negative number to a fractional power is a complex number");
  }
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) {
    return render_error("the result of ** is too large");
  }
  return Value(result);
}

}  // namespace bundle::chat
