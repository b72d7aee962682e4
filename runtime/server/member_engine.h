// The engine of a machine that computes for the server of another one.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "runtime/engine/client.h"

namespace bundle::server {

/// Takes no requests. A server over it is ready without a model, answers what the admin port does,
/// and refuses all else with `why`. Thread-safe, as the engine behind it.
class MemberEngine final : public engine::EngineClient {
 public:
  MemberEngine(std::shared_ptr<engine::EngineClient> engine, std::string why)
      : engine_(std::move(engine)), why_(std::move(why)) {}

  const std::string& why() const { return why_; }

  void submit(engine::Request request, OnEvent on_event) override {
    engine::Event refusal;
    refusal.id = request.id;
    refusal.finish = engine::FinishReason::kRefused;
    refusal.error = why_;
    on_event(std::move(refusal));
  }
  void abort(std::uint64_t) override {}
  bool ready() const override { return engine_->ready(); }
  engine::LoadProgress progress() const override { return engine_->progress(); }
  engine::EngineStats stats() const override { return engine_->stats(); }
  std::int64_t restarts() const override { return engine_->restarts(); }

 private:
  std::shared_ptr<engine::EngineClient> engine_;
  std::string why_;
};

/// Null where the engine takes requests.
inline const MemberEngine* as_member(const engine::EngineClient& engine) {
  return dynamic_cast<const MemberEngine*>(&engine);
}

}  // namespace bundle::server
