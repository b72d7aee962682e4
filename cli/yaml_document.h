// A YAML file as JSON, for documents whose form somebody else checks.
#pragma once

#include <string>

#include "base/json.h"

namespace bundle::cli {

/// Plain scalars become numbers, booleans or null where YAML's core schema says so. kBadInput with
/// line and column for what packager/yaml.h refuses. A .json file is read as JSON.
Result<Json> read_document(const std::string& path);
Result<Json> parse_document(std::string_view text, std::string_view where);

}  // namespace bundle::cli
