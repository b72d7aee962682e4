// From the body of a chat request to the generation of its answer, whichever API it came by.
#pragma once

#include <functional>
#include <memory>

#include "runtime/server/answer_format.h"
#include "runtime/server/endpoints.h"

namespace bundle::server {

/// Makes the writer of an answer of so many choices.
using MakeFormat = std::function<std::unique_ptr<AnswerFormat>(AnswerHead, std::size_t)>;

/// `body` is an OpenAI chat request. `id_prefix` begins the answer's id ("chatcmpl-").
ApiResult<GenerationPlan> plan_chat(Service& service, const HttpRequest& request,
                                    const JsonObject& body, const char* id_prefix,
                                    const MakeFormat& make_format);

/// The same, admitted.
ReplyResult generate_chat(Service& service, const HttpRequest& request, const JsonObject& body,
                          const char* id_prefix, const MakeFormat& make_format);

/// 400 when the model has no tokenizer, or no chat template.
void check_model_can_chat(FieldReader& reader, const ServedModel& model);

}  // namespace bundle::server
