// How a person names a bundle: NAME, NAME:TAG, NAME@sha256:…, sha256:… or the first digits of a
// digest.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::packager {

/// A parsed reference. `digest` is "sha256:" and 64 digits when it was given whole.
struct Reference {
  std::string name;
  std::string tag;     // "" when none was written
  std::string digest;  // "" when none was written
};

inline constexpr std::string_view kDefaultTag = "latest";

/// kUsage when the text is no reference.
Result<Reference> parse_reference(std::string_view text);

bool is_valid_tag(std::string_view tag);

/// "sha256:" and 64 lower-case hex digits: the only form that ever becomes a path.
bool is_valid_digest(std::string_view digest);

}  // namespace bundle::packager
