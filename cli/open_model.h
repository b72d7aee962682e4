// Opens the model that a reference on the command line names.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "runtime/format/checkpoint.h"

namespace bundle::cli {

/// A reference with a slash, or to a .gguf file, is a path; anything else names a bundle.
bool names_a_path(const std::string& reference);

/// Of a bundle in the store, or of the folder or .gguf file at a path.
Result<format::ModelSource> model_source(const std::string& reference);
Result<format::Checkpoint> open_checkpoint(const std::string& reference);
/// bundle.yaml's runtime section; empty for a path.
Result<JsonObject> runtime_section(const std::string& reference);

}  // namespace bundle::cli
