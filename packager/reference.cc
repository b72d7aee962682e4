#include "packager/reference.h"

#include <algorithm>

#include "packager/manifest.h"

namespace bundle::packager {
namespace {

constexpr std::string_view kPrefix = "sha256:";

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error no_reference(std::string_view text) {
  return {ErrorCode::kUsage, "'" + std::string(text.substr(0, 200)) + "' does not name a bundle",
          "", "Write NAME, NAME:TAG, NAME@sha256:DIGEST or sha256:DIGEST; names are lower case."};
}

}  // namespace

bool is_valid_digest(std::string_view digest) {
  return digest.size() == kPrefix.size() + 64 && digest.starts_with(kPrefix) &&
         is_hex(digest.substr(kPrefix.size()));
}

bool is_valid_tag(std::string_view tag) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !tag.empty() && tag.size() <= 128 && is_word(tag.front()) &&
         std::ranges::all_of(tag, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<Reference> parse_reference(std::string_view text) {
  Reference reference;
  std::string_view rest = text;
  if (is_valid_digest(text)) return Reference{"", "", std::string(text)};
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_valid_digest(reference.digest)) return no_reference(text);
  }
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_valid_tag(reference.tag)) return no_reference(text);
  }
  reference.name = rest;
  // It would stand before the digest that it looks like.
  const bool digest_like =
      rest.size() == 64 && rest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (digest_like) return no_reference(text);
  if (!is_valid_name(rest)) return no_reference(text);
  return reference;
}

}  // namespace bundle::packager
