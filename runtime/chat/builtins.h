// The filters, tests and global functions that templates have.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/ast.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// The filter or test of that name, or null.
BuiltinFunction find_filter(std::string_view name);
BuiltinFunction find_test(std::string_view name);

/// range, dict, namespace, …, raise_exception and strftime_now.
std::map<std::string, Value, std::less<>> make_globals();

}  // namespace bundle::chat
