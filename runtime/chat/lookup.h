// obj.name and obj[key] as the sandbox answers them: missing things are undefined, private and
// mutating ones are unsafe.
#pragma once

#include <string_view>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// obj.name: an attribute of Python's type first, else obj["name"].
Result<Value> get_attribute(Runtime& rt, const Value& object, std::string_view name);

/// obj[key]: the item first, else for a text key the attribute.
Result<Value> get_item(Runtime& rt, const Value& object, const Value& key);

/// obj[start:stop:step]; each bound may be None.
Result<Value> get_slice(Runtime& rt, const Value& object, const Value& start, const Value& stop,
                        const Value& step);

/// Whether getattr would find something, safe or not.
Result<bool> has_attribute(Runtime& rt, const Value& object, std::string_view name);

}  // namespace bundle::chat
