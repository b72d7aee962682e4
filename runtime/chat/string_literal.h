// The escapes of string literals in templates.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bundle::chat {

/// The value of what stands between the quotes, by Python's unicode-escape codec; nothing when an
/// escape is cut short, names no character, or is half of a surrogate pair.
std::optional<std::string> unescape_literal(std::string_view literal);

}  // namespace bundle::chat
