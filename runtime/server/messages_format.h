// Anthropic's messages: requests in, as chat requests; answers out.
#pragma once

#include <memory>

#include "base/json.h"
#include "runtime/server/answer_format.h"

namespace bundle::server {

std::unique_ptr<AnswerFormat> messages_format(AnswerHead head, std::size_t choices);

/// The chat request that a messages request means. 400 names the field that is wrong.
ApiResult<JsonObject> chat_of_messages(const JsonObject& body);

}  // namespace bundle::server
