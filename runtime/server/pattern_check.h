// Which regular expressions a grammar can hold a JSON string to.
#pragma once

#include <string_view>

namespace bundle::server {

/// Whether every character that the expression asks for stands for itself between the quotes of a
/// JSON string, and the expression has nothing that looks around itself. The compiler matches it
/// against the raw text, in which a quotation mark, a backslash and a control character are
/// escapes.
bool fits_json_string(std::string_view pattern);

}  // namespace bundle::server
