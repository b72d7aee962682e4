// What a pattern's escapes and property names stand for.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/tokenizer/char_set.h"
#include "runtime/tokenizer/regex.h"

namespace bundle::tokenizer {

/// `\d`, `\s`, `\w` and (in Oniguruma) `\h`, and their upper-case complements; none for others.
std::optional<CharSet> escape_class(char letter, RegexFlavor flavor);

/// `\p{name}`: a category ("L", "Lu", "Letter"), a script ("Han", "sc=Han"), a binary property, or
/// a POSIX name. None for a name that is not known.
std::optional<CharSet> property_class(std::string_view name, RegexFlavor flavor);

/// `[:name:]`.
std::optional<CharSet> posix_class(std::string_view name, RegexFlavor flavor);

}  // namespace bundle::tokenizer
