// str() and repr() of values, byte for byte as Python prints them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// str(value): what {{ value }} prints.
Result<std::string> to_str(Runtime& rt, const Value& value);
/// The same for one that is a string already, without a copy of its bytes.
Result<Value> to_text(Runtime& rt, const Value& value);

/// repr(value). An error when it would be too large.
Result<std::string> to_repr(Runtime& rt, const Value& value);

/// A string literal as Python writes it.
std::string quote(std::string_view text);

}  // namespace bundle::chat
