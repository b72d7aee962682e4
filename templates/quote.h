// Values in the languages of deploy files. Each function gives text that its language reads back as
// exactly the value, or refuses the value: nothing that a person typed ends a word early.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace bundle::templates {

/// A JSON string literal that is also a double-quoted YAML scalar: whatever either of them could
/// take for a line break or may not hold is escaped.
std::string quoted_json(std::string_view text);

/// A YAML scalar: plain when no reader can mistake it for anything else, else double-quoted.
std::string yaml_scalar(const Json& value);

/// Block style, every line but the first indented by `indent` spaces; begins on a line of its own.
std::string yaml_block(const Json& value, std::size_t indent);

/// One word of POSIX sh.
std::string shell_word(std::string_view text);

/// One word of a systemd command line (Exec…=): '%' and '$' are kept from expansion.
Result<std::string> systemd_exec_word(std::string_view text);

/// One word of a systemd list such as Environment=: '%' is kept from expansion. Control characters
/// other than tab and newline are refused, since systemd drops such a variable with a warning
/// alone.
Result<std::string> systemd_word(std::string_view text);

/// A value that needs no quotes anywhere: letters, digits, '_@+=:,./-[]' and, where `blanks`,
/// single blanks between. kBadInput for another.
Result<std::string> bare_word(std::string_view text, bool blanks = false);

}  // namespace bundle::templates
