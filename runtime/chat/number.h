// Numbers to text and back, as Python writes and reads them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/value.h"

namespace bundle::chat {

std::string print_int(Int n);
/// repr(float): the shortest digits that read back as the same number.
std::string print_float(double d);

/// int(text, base): white space around, a sign, underscores between digits, base 0 and 2 to 36.
/// Nothing when it is no such number or does not fit.
std::optional<Int> parse_int(std::string_view text, int base = 10);
/// float(text): also "inf", "nan", underscores.
std::optional<double> parse_float(std::string_view text);

/// int(d). Nothing for infinities, not-a-number and what does not fit.
std::optional<Int> truncate_float(double d);

/// round(d, digits) and round(n, digits): ties to even.
double round_float(double d, int digits);
Int round_int(Int n, int digits);

/// Digits in base 2, 8, 10 or 16, without sign or prefix.
std::string digits_of(Int n, int base, bool upper = false);

/// Arithmetic on numbers; the error says what Python's would.
Result<Value> add_numbers(const Value& a, const Value& b);
Result<Value> subtract(const Value& a, const Value& b);
Result<Value> multiply(const Value& a, const Value& b);
Result<Value> divide(const Value& a, const Value& b);
Result<Value> floor_divide(const Value& a, const Value& b);
Result<Value> modulo(const Value& a, const Value& b);
Result<Value> power(const Value& a, const Value& b);

}  // namespace bundle::chat
