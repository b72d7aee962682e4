// Patterns over file names, as in bundle.yaml's include and exclude.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bundle::packager {

/// True when `name` matches `pattern`, in which '*' is any text and '?' any one byte.
bool matches_glob(std::string_view pattern, std::string_view name);

/// True when `name` matches one of them.
bool matches_any(std::string_view name, const std::vector<std::string>& globs);

/// The first pattern that none of the names matches, or "".
std::string unmatched_glob(const std::vector<std::string>& globs,
                           const std::vector<std::string>& names);

}  // namespace bundle::packager
