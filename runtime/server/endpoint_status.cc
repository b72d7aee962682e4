// GET /health (is it alive), /ready (may traffic come), /version and /metrics.
#include "runtime/server/endpoints.h"

namespace bundle::server {
namespace {

Reply status_reply(int status, const char* word) {
  return {HttpResponse{.status = status, .body = R"({"status":")" + std::string(word) + "\"}"}};
}

}  // namespace

/// Alive while it loads: a liveness probe must not kill what only needs time.
ReplyResult get_health(Service& service, const HttpRequest&) {
  switch (service.health()) {
    case Service::Health::kOk:
      return status_reply(200, "ok");
    case Service::Health::kLoading:
      return status_reply(200, "loading");
    case Service::Health::kDead:
      return unavailable("engine_dead", "The engine does not answer.", 5);
    case Service::Health::kStalled:
      return unavailable("engine_stalled", "The engine has work and does none of it.", 5);
  }
  return internal_error("No such state of health.");
}

ReplyResult get_ready(Service& service, const HttpRequest&) {
  if (service.ready()) return status_reply(200, "ready");
  if (service.draining()) return unavailable("draining", "The server is shutting down.", 5);
  return unavailable("model_loading", "The model is still loading.", 2);
}

ReplyResult get_metrics(Service& service, const HttpRequest&) {
  const auto model = service.model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  const Metrics::Gauges gauges{.engine = service.engine().stats(),
                               .restarts = service.engine().restarts(),
                               .connections = service.connections,
                               .ready = service.ready()};
  return Reply{HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                            .body = model->metrics.page(gauges)}};
}

ReplyResult get_version(Service& service, const HttpRequest&) {
  JsonObject body{{"version", service.options().version}};
  if (const auto model = service.model()) {
    body["model"] = model->served.name;
    body["content_digest"] = model->served.content_digest;
    body["system_fingerprint"] = model->fingerprint;
  }
  return json_reply(body);
}

}  // namespace bundle::server
