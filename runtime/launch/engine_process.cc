#include "runtime/launch/engine_process.h"

#include "runtime/launch/engine_io.h"

namespace bundle::launch {

EngineProcess::EngineProcess(std::unique_ptr<Io> io) : io_(std::move(io)) {}
EngineProcess::~EngineProcess() = default;

std::unique_ptr<EngineProcess> EngineProcess::start(EngineProcessOptions options) {
  return std::unique_ptr<EngineProcess>(
      new EngineProcess(std::make_unique<Io>(std::move(options))));
}

void EngineProcess::submit(engine::Request request, OnEvent on_event) {
  io_->post(Io::Submission{std::move(request), std::move(on_event)});
}

void EngineProcess::abort(std::uint64_t id) { io_->post(Io::Abort{id}); }
bool EngineProcess::ready() const { return io_->board().ready(); }
engine::LoadProgress EngineProcess::progress() const { return io_->board().progress(); }
engine::EngineStats EngineProcess::stats() const { return io_->board().stats(); }
std::int64_t EngineProcess::restarts() const { return io_->board().restarts(); }
std::optional<Error> EngineProcess::failure() const { return io_->board().failure(); }
bool EngineProcess::released() const { return io_->board().released(); }
std::int64_t EngineProcess::pid() const { return io_->board().pid(); }

}  // namespace bundle::launch
