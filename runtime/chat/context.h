// JSON to template values.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// The value that Python's json.loads would give. Invalid UTF-8 becomes U+FFFD.
Result<Value> value_of_json(Runtime& rt, const Json& json);

}  // namespace bundle::chat
