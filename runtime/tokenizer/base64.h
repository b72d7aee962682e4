// Base64 with padding, as rank files and charsmaps have it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bundle::tokenizer {

/// None for text that is no base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace bundle::tokenizer
