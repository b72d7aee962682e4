// Patterns over file names, as in bundle.yaml's include and exclude.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::packager {

/// True when `name` matches `pattern`, in which '*' is any text and '?' any one byte.
bool matches_glob(std::string_view pattern, std::string_view name);

/// True when `name` matches one of them.
bool matches_any(std::string_view name, const std::vector<std::string>& globs);

/// bundle.yaml's `include`: kNotFound for the first pattern that matches none of the names. It
/// would leave out, without a word, what somebody wants.
Status check_include(const std::vector<std::string>& globs, const std::vector<std::string>& names,
                     const std::string& where);

}  // namespace bundle::packager
