// The methods of Python's built-in types that templates call.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// One method: `self` is of the type whose table it stands in.
using Method = Result<Value> (*)(Runtime& rt, const Value& self, Arguments args);

/// The method of str, or null.
Method find_string_method(std::string_view name);

/// The bound method or attribute of a plain value (str, dict, list, …), or nothing.
Result<std::optional<Value>> find_method(Runtime& rt, const Value& object, std::string_view name);

}  // namespace bundle::chat
