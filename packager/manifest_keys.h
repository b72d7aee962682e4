// The table of bundle.yaml's keys: what each may hold, what it means, and its default. Everything
// else about bundle.yaml follows from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::packager {

enum class KeyType {
  kSection,   // a map of the keys below it
  kText,      // a string
  kChoice,    // one of `choices`
  kWhole,     // a whole number in [min, max]
  kReal,      // a number in [min, max]
  kBool,      // true or false
  kQuantity,  // bytes: "16Gi", "500M", or a whole number
  kTexts,     // a list of strings
  kTextMap,   // a map of strings to strings
};

/// Bytes of one text, and of one that has a pattern; entries of one list or map.
inline constexpr std::size_t kMostTextBytes = 1u << 20;
inline constexpr std::size_t kMostPatternBytes = 256;
inline constexpr std::size_t kMostEntries = 1024;

/// One row. `path` is dotted ("runtime.sampling.top_p").
struct ManifestKey {
  std::string_view path;
  KeyType type;
  std::string_view about;      // one sentence for the reference page
  std::string_view fallback;   // the default as a person would write it, or ""
  double min = 0;              // kWhole, kReal
  double max = 0;              // kWhole, kReal; bytes of a kText, 0: kMostTextBytes
  std::string_view choices{};  // kChoice: separated by blanks
  std::string_view pattern{};  // kText, items of kTexts, keys of kTextMap: a regular expression
};

/// Every key; a section stands before the keys in it.
std::span<const ManifestKey> manifest_keys();

/// Null when there is no such key.
const ManifestKey* find_manifest_key(std::string_view path);

/// The last part of a path.
std::string_view leaf_of(std::string_view path);

/// The keys directly in a section; "" is the top.
std::vector<const ManifestKey*> keys_in(std::string_view section);

std::vector<std::string> choices_of(const ManifestKey& key);

/// "a whole number from 1 to 4096", for errors and the reference page.
std::string describe_type(const ManifestKey& key);

}  // namespace bundle::packager
