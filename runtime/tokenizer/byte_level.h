// The printable stand-ins that byte-level vocabularies spell bytes with: "Ġ" for a space.
//
// Bytes that are printable in Latin-1 stand for themselves; the 68 others become U+0100, U+0101, …
// in order (GPT-2's bytes_to_unicode).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bundle::tokenizer {

/// The stand-in of each byte of `bytes`, in UTF-8.
std::string bytes_to_byte_level(std::string_view bytes);

/// The bytes that a spelling stands for; none when it has a character that is no stand-in.
std::optional<std::string> byte_level_to_bytes(std::string_view spelling);

}  // namespace bundle::tokenizer
