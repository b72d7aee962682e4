// The endpoints, one file each. An endpoint turns a request into a reply and knows no socket.
#pragma once

#include <memory>

#include "runtime/server/generation.h"
#include "runtime/server/message.h"
#include "runtime/server/service.h"

namespace bundle::server {

/// A response, or an answer to be generated. Both refer to the service.
struct Reply {
  HttpResponse response = {};
  std::unique_ptr<Generation> generation = {};  // null: the response is all
};

using ReplyResult = ApiResult<Reply>;

/// What a request asks for, checked, with its prompts as tokens; not yet admitted.
ApiResult<GenerationPlan> plan_chat_completion(Service& service, const HttpRequest& request);
ApiResult<GenerationPlan> plan_completion(Service& service, const HttpRequest& request);
/// The answer that a plan leads to, once there is room for it.
ReplyResult admit(Service& service, const HttpRequest& request, ApiResult<GenerationPlan> plan);

ReplyResult preview_admission(Service& service, const HttpRequest& request);
ReplyResult list_models(Service& service, const HttpRequest& request);
ReplyResult get_model(Service& service, const HttpRequest& request);
ReplyResult create_chat_completion(Service& service, const HttpRequest& request);
ReplyResult create_completion(Service& service, const HttpRequest& request);
ReplyResult create_embeddings(Service& service, const HttpRequest& request);
ReplyResult create_response(Service& service, const HttpRequest& request);
ReplyResult create_message(Service& service, const HttpRequest& request);
ReplyResult count_message_tokens(Service& service, const HttpRequest& request);
ReplyResult ollama_chat(Service& service, const HttpRequest& request);
ReplyResult ollama_generate(Service& service, const HttpRequest& request);
ReplyResult ollama_tags(Service& service, const HttpRequest& request);
ReplyResult ollama_version(Service& service, const HttpRequest& request);
ReplyResult get_tokenizer_info(Service& service, const HttpRequest& request);
ReplyResult get_openapi(Service& service, const HttpRequest& request);
ReplyResult tokenize(Service& service, const HttpRequest& request);
ReplyResult detokenize(Service& service, const HttpRequest& request);
ReplyResult get_autoscale(Service& service, const HttpRequest& request);
ReplyResult get_live(Service& service, const HttpRequest& request);
ReplyResult get_page(Service& service, const HttpRequest& request);
ReplyResult get_health(Service& service, const HttpRequest& request);
ReplyResult get_ready(Service& service, const HttpRequest& request);
ReplyResult get_metrics(Service& service, const HttpRequest& request);
ReplyResult get_version(Service& service, const HttpRequest& request);

/// 200 with this JSON.
Reply json_reply(const Json& body);

/// The body as a JSON object: 400 for anything else.
ApiResult<JsonObject> read_body(const HttpRequest& request);

}  // namespace bundle::server
