#include "runtime/server/service.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <utility>

#include "base/sha256.h"
#include "runtime/server/member_engine.h"

namespace bundle::server {
namespace {

/// What is not a bundle has no digest: its name and the server's version tell it apart.
std::string fingerprint_of(const ServedModel& model, const std::string& version) {
  if (!model.content_digest.empty()) return model.content_digest;
  return "fp_" + sha256_hex(model.name + "\n" + version).substr(0, 12);
}

ServedModel with_defaults(ServedModel model) {
  if (model.created == 0) model.created = std::time(nullptr);
  if (model.vocab_size == 0 && model.tokenizer != nullptr) {
    model.vocab_size = model.tokenizer->vocab_size();
  }
  return model;
}

}  // namespace

Model::Model(ServedModel model, const std::string& version)
    : served(with_defaults(std::move(model))),
      fingerprint(fingerprint_of(served, version)),
      vocab_size(served.vocab_size),
      metrics(served.name, version, served.content_digest) {}

Service::Service(ServerOptions options, std::shared_ptr<engine::EngineClient> engine)
    : options_(std::move(options)),
      engine_(std::move(engine)),
      keys_(options_.api_keys),
      admission_(options_.limits.queued_requests, load_),
      webhook_(options_.webhook),
      traces_(options_.otlp_endpoint, options_.version) {}

void Service::record(RequestRecord record) {
  if (access_log_.enabled()) access_log_.write(record);
  traces_.add(std::move(record));
}

void Service::set_model(ServedModel model) {
  auto fresh = std::make_shared<const Model>(std::move(model), options_.version);
  const std::lock_guard lock(mutex_);
  model_ = std::move(fresh);
}

std::shared_ptr<const Model> Service::model() const {
  const std::lock_guard lock(mutex_);
  return model_;
}

std::int64_t Service::max_context(const Model& model) const {
  const std::int64_t of_engine = engine_->stats().max_context;
  const std::int64_t of_model = model.served.max_context;
  if (of_engine <= 0 || of_model <= 0) return std::max(of_engine, of_model);
  return std::min(of_engine, of_model);
}

ApiResult<std::shared_ptr<const Model>> Service::available_model() const {
  if (draining_) {
    ApiError error = unavailable("draining", "The server is shutting down; ask another one.", 5);
    error.close = true;
    return error;
  }
  auto model = this->model();
  if (model == nullptr) return unavailable("model_loading", "The model is still loading.", 2);
  if (!engine_->ready()) {
    if (was_ready_) return unavailable("engine_restarting", "The engine is being restarted.", 2);
    return unavailable("model_loading", "The model is still loading.", 2);
  }
  return model;
}

ApiResult<Admission::Ticket> Service::admit(const Model& model, const HttpRequest& request,
                                            const Demand& demand) {
  load_.arrived();
  auto ticket = enter(request, demand);
  const bool no_room = ticket.has_error() && ticket.error().status >= 429;
  if (no_room) model.metrics.rejected(ticket.error().code);
  return ticket;
}

std::optional<ApiError> Service::refusal_of(const HttpRequest& request, const Demand& demand) {
  auto ticket = enter(request, demand);
  if (ticket.has_error()) return std::move(ticket).error();
  ticket->cancel();
  return std::nullopt;
}

ApiResult<Admission::Ticket> Service::enter(const HttpRequest& request, const Demand& demand) {
  const auto& client = request.client ? request.client : keys_.anybody();
  const bool keyed = !client->key().hash.empty();
  if (keyed && demand.priority < client->key().priority) {
    return invalid_field("priority", fmt::format("Your key may ask for priorities from {} up.",
                                                 client->key().priority));
  }
  return admission_.enter(client, demand, engine_->stats().running);
}

Service::Readiness Service::readiness() const {
  if (draining_) return Readiness::kDraining;
  if (stalled_) return Readiness::kStalled;
  if (!engine_->ready()) return was_ready_ ? Readiness::kRestarting : Readiness::kLoading;
  if (model() == nullptr && as_member(*engine_) == nullptr) return Readiness::kLoading;
  return overloaded_ ? Readiness::kOverloaded : Readiness::kReady;
}

QueueView Service::queue() const {
  const engine::EngineStats stats = engine_->stats();
  return {.running = stats.running,
          .waiting = std::max<std::int64_t>(admission_.in_flight() - stats.running, 0),
          .slots = stats.max_sequences,
          .waiting_prompts = admission_.waiting_prompts()};
}

double Service::predicted_wait() const { return server::predicted_wait(queue(), load_.figures()); }

ScalingAdvice Service::advise(const ScalingOptions& options, std::int64_t replicas) const {
  const QueueView view = queue();
  const LoadFigures figures = load_.figures();
  return server::advise(options, {.figures = figures,
                                  .replicas = replicas,
                                  .slots = view.slots,
                                  .concurrency = view.running + view.waiting,
                                  .predicted_wait = server::predicted_wait(view, figures)});
}

Metrics::Gauges Service::gauges() const {
  const LoadFigures figures = load_.figures();
  return {.engine = engine_->stats(),
          .restarts = engine_->restarts(),
          .connections = connections,
          .ready = ready(),
          .alive = alive(),
          .draining = draining(),
          .queue_limit = admission_.limit(),
          .predicted_wait = server::predicted_wait(queue(), figures),
          .idle_seconds = figures.idle,
          .desired_replicas = advise(options_.scaling, 1).replicas};
}

void Service::tick() {
  const engine::EngineStats stats = engine_->stats();
  load_.second_passed(stats.running, stats.waiting);
  if (engine_->ready()) was_ready_ = true;
  stalled_ = !watch_progress(stats);
  // Ready again when a quarter of the queue is free, so that a full one does not flicker.
  const bool full = admission_.full(stats.running);
  const std::int64_t waiting = admission_.in_flight() - stats.running;
  overloaded_ = full || (overloaded_ && waiting > admission_.limit() * 3 / 4);
  tell_webhook(stats);
}

/// False when nothing has moved for too long: no step with work to do, or no engine where there was
/// one, and none that loads.
bool Service::watch_progress(const engine::EngineStats& stats) {
  const auto now = std::chrono::steady_clock::now();
  const bool gone = was_ready_ && !engine_->ready();
  const bool has_work = stats.running + stats.waiting > 0;
  const std::uint64_t loaded = engine_->progress().done;
  const bool moved = gone ? loaded != last_loaded_ : !has_work || stats.steps != last_steps_;
  if (moved) last_progress_ = now;
  last_steps_ = stats.steps;
  last_loaded_ = loaded;
  return now - last_progress_ < options_.stall_timeout;
}

void Service::tell_webhook(const engine::EngineStats& stats) {
  if (options_.webhook.url.empty()) return;
  const auto model = this->model();
  const ScalingAdvice advice = advise(options_.scaling, 1);
  const double total = static_cast<double>(std::max<std::int64_t>(stats.kv_blocks_total, 1));
  webhook_.look({.waiting = static_cast<double>(stats.waiting),
                 .wait_seconds = predicted_wait(),
                 .kv_usage = static_cast<double>(stats.kv_blocks_used) / total,
                 .idle_seconds = load_.figures().idle},
                {{"model", model == nullptr ? "" : model->served.name},
                 {"desired_replicas", advice.replicas},
                 {"reason", advice.reason}});
}

const char* readiness_word(Service::Readiness readiness) {
  switch (readiness) {
    case Service::Readiness::kReady:
      return "ready";
    case Service::Readiness::kLoading:
      return "loading";
    case Service::Readiness::kRestarting:
      return "restarting";
    case Service::Readiness::kStalled:
      return "stalled";
    case Service::Readiness::kOverloaded:
      return "overloaded";
    case Service::Readiness::kDraining:
      return "draining";
  }
  return "";
}

}  // namespace bundle::server
