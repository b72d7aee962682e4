// Ollama's API over the same engine: POST /api/chat, /api/generate, /api/show, GET /api/tags,
// /api/version.
#include "runtime/server/chat_generation.h"
#include "runtime/server/ollama_format.h"
#include "runtime/server/request_rewrite.h"

namespace bundle::server {
namespace {

ReplyResult generate(Service& service, const HttpRequest& request, OllamaShape shape) {
  BUNDLE_TRY(const JsonObject body, read_body(request));
  BUNDLE_TRY(const JsonObject chat, chat_of_ollama(body, shape));
  auto reply = generate_chat(service, request, chat, "ollama-",
                             [shape, at = request.received](AnswerHead head, std::size_t) {
                               return ollama_format(std::move(head), shape, at);
                             });
  if (reply) return reply;
  return in_words_of_client(reply.error(), {{"max_tokens", "options.num_predict"},
                                            {"repetition_penalty", "options.repeat_penalty"},
                                            {"temperature", "options.temperature"},
                                            {"top_k", "options.top_k"},
                                            {"top_p", "options.top_p"},
                                            {"min_p", "options.min_p"},
                                            {"seed", "options.seed"},
                                            {"stop", "options.stop"},
                                            {"response_format", "format"}});
}

JsonObject details_of(const Model& model) {
  return {{"parent_model", ""},
          {"format", "bundle"},
          {"family", model.served.architecture},
          {"families", JsonArray{model.served.architecture}},
          {"parameter_size", ""},
          {"quantization_level", ""}};
}

}  // namespace

ReplyResult ollama_chat(Service& service, const HttpRequest& request) {
  return generate(service, request, OllamaShape::kChat);
}

ReplyResult ollama_generate(Service& service, const HttpRequest& request) {
  return generate(service, request, OllamaShape::kGenerate);
}

ReplyResult ollama_tags(Service& service, const HttpRequest&) {
  const auto model = service.model();
  JsonArray models;
  if (model != nullptr) {
    const std::string name = model->served.name + ":latest";
    models.emplace_back(JsonObject{{"name", name},
                                   {"model", name},
                                   {"modified_at", ollama_time(model->served.created)},
                                   {"size", 0},
                                   {"digest", model->served.content_digest},
                                   {"details", details_of(*model)}});
  }
  return json_reply(JsonObject{{"models", std::move(models)}});
}

ReplyResult ollama_version(Service& service, const HttpRequest&) {
  return json_reply(JsonObject{{"version", service.options().version}});
}

}  // namespace bundle::server
