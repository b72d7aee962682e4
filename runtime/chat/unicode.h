// Text as Python sees it: code points, white space, case. Texts here are valid UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::chat {

std::size_t count_code_points(std::string_view text);

/// The code point at byte `at`, which is moved behind it.
char32_t next_code_point(std::string_view text, std::size_t& at);
void append_utf8(std::string& out, char32_t c);

/// The byte offset of code point `index`, or of the end when there are fewer.
std::size_t byte_offset(std::string_view text, std::size_t index);

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);  // str.isdecimal
bool is_digit(char32_t c);    // str.isdigit, which has superscripts too
bool is_numeric(char32_t c);  // str.isnumeric, which has fractions too
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
/// May stand in a name, at its start or after.
bool is_name_start(char32_t c);
bool is_name_part(char32_t c);

/// str.upper and the others: full mappings, "ß" becomes "SS".
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);  // str.title
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);
std::string case_fold(std::string_view text);

/// Without the white space at its ends, as a part of `text`.
std::string_view strip(std::string_view text, bool left = true, bool right = true);

/// The same for any of the characters in `chars`.
std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right);

/// str.splitlines().
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

/// str.split() at runs of white space.
std::vector<std::string_view> split_words(std::string_view text);

}  // namespace bundle::chat
