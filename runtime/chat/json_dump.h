// json.dumps, byte for byte: what the filter tojson prints.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; then every item has a line of its own
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// An error for a value that JSON has no form for, as Python's TypeError.
Result<std::string> dump_json(Runtime& rt, const Value& value, const JsonStyle& style);

}  // namespace bundle::chat
