// POST /v1/responses: OpenAI's newer API. Nothing is stored: a conversation comes whole.
#include "runtime/server/chat_generation.h"
#include "runtime/server/request_rewrite.h"
#include "runtime/server/responses_format.h"

namespace bundle::server {

ReplyResult create_response(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  BUNDLE_TRY(const JsonObject chat, chat_of_responses(body));
  auto reply = generate_chat(service, request, chat, "resp_",
                             [echo = echo_of_responses(body)](AnswerHead head, std::size_t) {
                               return responses_format(std::move(head), echo);
                             });
  if (reply) return reply;
  return in_words_of_client(reply.error(), {{"max_tokens", "max_output_tokens"},
                                            {"messages", "input"},
                                            {"reasoning_effort", "reasoning.effort"},
                                            {"response_format.json_schema", "text.format"},
                                            {"response_format", "text.format"}});
}

}  // namespace bundle::server
