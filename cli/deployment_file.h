// deployment.yaml: what `bundle deploy` is told, in a file.
#pragma once

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

/// The keys of a deployment.yaml as a document with its sections, checked. Refused with file, line
/// and column: unknown keys (with the nearest known one), keys that come twice, wrong types.
/// Paths in it (keys, secrets) are made absolute from the file's folder.
Result<JsonObject> read_deployment_file(const Path& path);

}  // namespace bundle::cli
