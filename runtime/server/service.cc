#include "runtime/server/service.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <utility>

#include "base/sha256.h"

namespace bundle::server {
namespace {

std::string fingerprint_of(const ServedModel& model, const std::string& version) {
  std::string_view digest = model.content_digest;
  if (const std::size_t colon = digest.find(':'); colon != std::string_view::npos) {
    digest.remove_prefix(colon + 1);
  }
  const std::string other = sha256_hex(model.name + "\n" + version);
  if (digest.empty()) digest = other;
  return "fp_" + std::string(digest.substr(0, 12));
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
    : options_(std::move(options)), engine_(std::move(engine)) {}

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

ApiResult<Admission::Ticket> Service::admit(const Model& model, std::int64_t count) {
  const std::int64_t running = engine_->stats().running;
  auto ticket = admission_.enter(count, running, options_.limits.queued_requests);
  if (ticket) return ticket;
  model.metrics.rejected("queue_full");
  return unavailable("overloaded",
                     fmt::format("{} requests are waiting already; this server queues {}.",
                                 admission_.in_flight() - running, options_.limits.queued_requests),
                     admission_.retry_after(running));
}

bool Service::ready() const { return !draining_ && model() != nullptr && engine_->ready(); }

Service::Health Service::health() const {
  if (stalled_) return Health::kStalled;
  if (engine_->ready()) return model() == nullptr ? Health::kLoading : Health::kOk;
  return was_ready_ ? Health::kDead : Health::kLoading;
}

void Service::tick() {
  admission_.tick();
  if (engine_->ready()) was_ready_ = true;
  const engine::EngineStats stats = engine_->stats();
  const auto now = std::chrono::steady_clock::now();
  const bool has_work = stats.running + stats.waiting > 0;
  if (!has_work || stats.steps != last_steps_) last_progress_ = now;
  last_steps_ = stats.steps;
  stalled_ = now - last_progress_ >= options_.stall_timeout;
}

}  // namespace bundle::server
