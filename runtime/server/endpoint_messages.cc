// POST /v1/messages and /v1/messages/count_tokens: Anthropic's API over the same engine.
#include "runtime/server/chat_generation.h"
#include "runtime/server/chat_prompt.h"
#include "runtime/server/messages_format.h"
#include "runtime/server/request_rewrite.h"

namespace bundle::server {

ReplyResult create_message(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  BUNDLE_TRY(const JsonObject chat, chat_of_messages(body));
  auto reply = generate_chat(service, request, chat, "msg_", messages_format);
  if (reply) return reply;
  return in_words_of_client(reply.error(), {{"stop", "stop_sequences"}});
}

ReplyResult count_message_tokens(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const auto model, service.available_model());
  BUNDLE_TRY(JsonObject body, read_body(request));
  body["max_tokens"] = 1;
  BUNDLE_TRY(const JsonObject chat, chat_of_messages(body));
  FieldReader reader(chat);
  check_model_name(reader, model->served);
  check_model_can_chat(reader, model->served);
  if (reader.error()) return *reader.error();
  BUNDLE_TRY(const chat::Prompt prompt, render_chat_prompt(model->served, chat));
  const auto ids = model->served.tokenizer->encode(prompt.text, {.add_special = false});
  return json_reply(JsonObject{{"input_tokens", ids.size()}});
}

}  // namespace bundle::server
