#include "packager/glob.h"

#include <algorithm>

namespace bundle::packager {

bool matches_glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // of the last '*', and the text it has not taken yet
  std::size_t rest = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      rest = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++rest;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool matches_any(std::string_view name, const std::vector<std::string>& globs) {
  return std::ranges::any_of(globs, [&](const auto& glob) { return matches_glob(glob, name); });
}

Status check_include(const std::vector<std::string>& globs, const std::vector<std::string>& names,
                     const std::string& where) {
  for (const std::string& glob : globs) {
    const auto fits = [&](const auto& name) { return matches_glob(glob, name); };
    if (std::ranges::any_of(names, fits)) continue;
    return not_found("'include' has '" + glob + "', which matches no file", where,
                     "Correct it, or take it out.");
  }
  return {};
}

}  // namespace bundle::packager
