// The tables of filters, by kind; builtins.h looks a name up in all of them. A filter's input is
// its first positional argument.
#pragma once

#include <string_view>

#include "runtime/chat/ast.h"

namespace bundle::chat {

/// upper, replace, tojson, …
BuiltinFunction find_text_filter(std::string_view name);
/// list, join, sort, …
BuiltinFunction find_sequence_filter(std::string_view name);
/// map, select, batch, …, whose results are generators
BuiltinFunction find_lazy_filter(std::string_view name);
/// int, round, default, …
BuiltinFunction find_scalar_filter(std::string_view name);

}  // namespace bundle::chat
