// The messages of a request, checked and brought into the form that templates expect.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace bundle::chat {

/// What templates get as the arguments of a tool call.
enum class ArgumentsForm {
  kParsed,  // the object that the text holds, where it holds one: for those that print it as JSON
  kText,    // the text as it came: for those that join it to text
};

/// The value of `messages`. See template_context for what is done to it.
Result<JsonArray> normalize_messages(const Json& messages, ArgumentsForm form);

}  // namespace bundle::chat
