// Finding, splitting and replacing in text, in time linear in its size.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::chat {

inline constexpr std::size_t kNotFound = std::string_view::npos;

/// The first place of `what` at or after byte `from`, or kNotFound.
std::size_t find_text(std::string_view in, std::string_view what, std::size_t from = 0);
/// The last place.
std::size_t find_last_text(std::string_view in, std::string_view what);

/// Occurrences that do not overlap; the empty text occurs around every code point.
std::size_t count_text(std::string_view in, std::string_view what);

/// The bytes that replace_text would make.
std::size_t replaced_size(std::string_view in, std::string_view what, std::string_view by,
                          std::size_t most);
std::string replace_text(std::string_view in, std::string_view what, std::string_view by,
                         std::size_t most = kNotFound);

/// str.split and str.rsplit with a separator, which is not empty; or at white space.
std::vector<std::string_view> split_text(std::string_view in, std::string_view separator,
                                         std::size_t most);
std::vector<std::string_view> split_text_right(std::string_view in, std::string_view separator,
                                               std::size_t most);
std::vector<std::string_view> split_space(std::string_view in, std::size_t most);
std::vector<std::string_view> split_space_right(std::string_view in, std::size_t most);

}  // namespace bundle::chat
