// From the body of a chat request to the text that the model is given.
#pragma once

#include <string>

#include "base/json.h"
#include "runtime/chat/prompt.h"
#include "runtime/server/api_error.h"
#include "runtime/server/http_server.h"

namespace bundle::server {

/// 400 when the conversation is malformed, or the template refuses it in its own words.
ApiResult<chat::Prompt> render_chat_prompt(const ServedModel& model, const JsonObject& body);

}  // namespace bundle::server
