// The messages of a request, checked and brought into the form that templates expect.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace bundle::chat {

/// The value of `messages`. See template_context for what is done to it.
Result<JsonArray> normalize_messages(const Json& messages);

}  // namespace bundle::chat
