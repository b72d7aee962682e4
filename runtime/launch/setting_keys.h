// The table of `runtime` keys: names, types and ranges. Published names are never changed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace bundle::launch {

enum class SettingType { kWhole, kReal, kBool, kText, kChoice };

struct SettingKey {
  std::string_view path;  // below runtime: "context_length", "sampling.top_p"
  SettingType type;
  double least = 0;
  double most = 0;
  std::string_view choices = {};  // separated by blanks
};

std::span<const SettingKey> setting_keys();
/// Null when there is none.
const SettingKey* find_setting(std::string_view path);

/// "a whole number from 1 to 4096".
std::string describe(const SettingKey& key);
bool fits(const SettingKey& key, const Json& value);
/// The value that a text means for this key; none when it means none that fits.
std::optional<Json> read_text(const SettingKey& key, std::string_view text);

/// "unknown key …", and the nearest known one as the remedy.
struct UnknownKey {
  std::string what;
  std::string remedy;
};
UnknownKey unknown_setting(std::string_view path);

}  // namespace bundle::launch
