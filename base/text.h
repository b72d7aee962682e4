// Small helpers for text that people read or write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bundle {

/// The candidate with the least edit distance to `name`, or "" when none is near enough to be a
/// likely slip (distance over a third of its length, and over 2).
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// "1.5 GB": decimal units, three significant digits.
std::string human_bytes(std::uint64_t bytes);

/// Bytes of the longest prefix of `text` that ends between characters: a multi-byte UTF-8 character
/// whose last bytes are still to come is left out, an invalid byte is not waited for.
std::size_t complete_utf8_prefix(std::string_view text);

bool is_valid_utf8(std::string_view text);

/// Replaces every maximal invalid subsequence by U+FFFD, as Unicode's "best practice" and Python's
/// errors="replace" do.
std::string replace_invalid_utf8(std::string_view text);

/// Control characters (but for newline and tab) as \xNN, so that no foreign text moves a terminal's
/// cursor or hides what follows. Of UTF-8 also U+0080 to U+009F.
std::string show_controls(std::string_view text);

/// For text between tags and in quoted attributes of SVG, HTML and XML: &, <, > and " as entities.
std::string escape_markup(std::string_view text);

}  // namespace bundle
