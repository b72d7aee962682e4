// OpenAI's responses: requests in, as chat requests; answers out.
#pragma once

#include <memory>

#include "base/json.h"
#include "runtime/server/answer_format.h"

namespace bundle::server {

/// `echo` has the members of the request that a response repeats.
std::unique_ptr<AnswerFormat> responses_format(AnswerHead head, JsonObject echo);

/// The chat request that a responses request means. 400 names the field that is wrong.
ApiResult<JsonObject> chat_of_responses(const JsonObject& body);
/// What a response repeats of its request, with the defaults of what it does not say.
JsonObject echo_of_responses(const JsonObject& body);

}  // namespace bundle::server
