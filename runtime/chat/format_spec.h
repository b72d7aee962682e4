// format(value, spec): Python's format mini-language, which str.format and % stand on.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct FormatSpec {
  char32_t fill = ' ';
  char align = 0;  // one of < > = ^, or 0 for the type's own
  char sign = '-';
  bool no_negative_zero = false;
  bool alternate = false;
  std::size_t width = 0;  // code points
  char grouping = 0;
  int precision = -1;
  char type = 0;
};

/// Widths and precisions over this are refused.
inline constexpr std::size_t kMaxFormatWidth = 1u << 20;

Result<FormatSpec> parse_format_spec(std::string_view spec);

/// Formats a number or text by the spec.
Result<std::string> format_int(Int n, const FormatSpec& spec);
Result<std::string> format_float(double d, const FormatSpec& spec);
Result<std::string> format_text(std::string_view text, const FormatSpec& spec);

/// Pads to the width; `sign_size` bytes stay in front of padding by '='.
std::string pad(std::string body, std::size_t sign_size, const FormatSpec& spec, char align);

/// format(value, spec).
Result<std::string> format_value(Runtime& rt, const Value& value, std::string_view spec);

/// format.format(*args, **kwargs).
Result<Value> format_method(Runtime& rt, const Value& format, const Arguments& args);

}  // namespace bundle::chat
