// One value of bundle.yaml: from the text a person wrote to the JSON that its key's type wants.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "packager/manifest_keys.h"
#include "packager/yaml.h"

namespace bundle::packager {

/// Converts and checks a scalar of any key type but kSection, kTexts and kTextMap. Strict: a quoted
/// number is no number, and a bare one is no text. The error has no `where`.
Result<Json> scalar_value(const ManifestKey& key, const YamlNode& node);

/// Converts a whole YAML value, sections and all, and says where an error is.
Result<Json> manifest_value(const ManifestKey& key, const YamlNode& node, std::string_view where);

/// The keys of one section ("" is the top) from a YAML map.
Result<JsonObject> manifest_section(std::string_view section, const YamlNode& node,
                                    std::string_view where);

}  // namespace bundle::packager
