// `text % arguments`, Python's printf.
#pragma once

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// `arguments` is a tuple, a dict for %(name)s, or the single argument.
Result<Value> percent_format(Runtime& rt, const Value& format, const Value& arguments);

}  // namespace bundle::chat
