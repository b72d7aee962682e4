// POST /v1/chat/completions.
#include "runtime/server/chat_generation.h"

namespace bundle::server {

ApiResult<GenerationPlan> plan_chat_completion(Service& service, const HttpRequest& request) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  return plan_chat(service, request, body, "chatcmpl-", chat_format);
}

ReplyResult create_chat_completion(Service& service, const HttpRequest& request) {
  return admit(service, request, plan_chat_completion(service, request));
}

}  // namespace bundle::server
