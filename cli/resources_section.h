// Writes the `resources` of a bundle.yaml, and leaves every other line as its author wrote it.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

/// Replaces or adds the top-level section; keys of it that `resources` does not name stay. The
/// result is parsed before anything is written: kBadInput when the file is no bundle.yaml, also
/// for a `resources` in flow style ("{gpu: 1}").
Status write_resources(const std::string& file, const JsonObject& resources);

/// The same for a text.
Result<std::string> with_resources(const std::string& text, const JsonObject& resources,
                                   std::string_view where);

}  // namespace bundle::cli
