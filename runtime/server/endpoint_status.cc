// GET /health (does the engine answer), /live (would a restart help), /ready (may traffic come),
// /version and /metrics.
#include <fmt/format.h>

#include "runtime/server/endpoints.h"

namespace bundle::server {
namespace {

Reply status_reply(const char* word) {
  return {HttpResponse{.body = R"({"status":")" + std::string(word) + "\"}"}};
}

ApiError loading(const Service& service) {
  const engine::LoadProgress progress = service.engine().progress();
  std::string how_far;
  if (!progress.stage.empty()) how_far = ": " + progress.stage;
  if (progress.total > 0) how_far += fmt::format(", {} %", progress.done * 100 / progress.total);
  return unavailable("model_loading", "The model is still loading" + how_far + ".", 2);
}

/// Why traffic should not come.
ApiError not_ready(const Service& service) {
  switch (service.readiness()) {
    case Service::Readiness::kRestarting:
      return unavailable("engine_restarting", "The engine died and is being started again.", 2);
    case Service::Readiness::kStalled:
      return unavailable("engine_stalled", "The engine has work and does none of it.", 5);
    case Service::Readiness::kOverloaded:
      return unavailable("overloaded", "The queue is full.", 2);
    case Service::Readiness::kDraining:
      return unavailable("draining", "The server is shutting down.", 5);
    default:
      return loading(service);
  }
}

}  // namespace

/// Well while it loads, drains or has much to do: as vLLM's, for whoever probes it already.
ReplyResult get_health(Service& service, const HttpRequest&) {
  switch (service.readiness()) {
    case Service::Readiness::kLoading:
      return status_reply("loading");
    case Service::Readiness::kRestarting:
      return unavailable("engine_dead", "The engine does not answer.", 5);
    case Service::Readiness::kStalled:
      return not_ready(service);
    default:
      return status_reply("ok");
  }
}

/// An engine that died is started again from inside, so it is no reason to kill the process; one
/// that makes no progress is.
ReplyResult get_live(Service& service, const HttpRequest&) {
  if (service.alive()) return status_reply("alive");
  return unavailable("engine_stalled", "The engine makes no progress.", 5);
}

ReplyResult get_ready(Service& service, const HttpRequest&) {
  if (service.ready()) return status_reply("ready");
  return not_ready(service);
}

ReplyResult get_metrics(Service& service, const HttpRequest&) {
  const auto model = service.model();
  const Metrics::Gauges gauges = service.gauges();
  return Reply{HttpResponse{
      .content_type = "text/plain; version=0.0.4; charset=utf-8",
      .body = model ? model->metrics.page(gauges) : Metrics::page_without_model(gauges)}};
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
