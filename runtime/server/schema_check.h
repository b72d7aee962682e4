// What of a JSON schema the grammar compiler would leave out in silence.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace bundle::server {

/// Where a schema says what no grammar can hold ("/properties/tags/uniqueItems"); none when all of
/// it can be. Members that merely have such a name are no keywords.
std::optional<std::string> unheld_keyword(const Json& schema);

}  // namespace bundle::server
