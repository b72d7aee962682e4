#include "runtime/launch/engine_loop.h"

#include <array>
#include <poll.h>

#include "base/log.h"
#include "runtime/engine/wire.h"
#include "runtime/launch/channel.h"
#include "runtime/launch/engine_child.h"
#include "runtime/launch/engine_start.h"
#include "runtime/launch/frame_sender.h"

namespace bundle::launch {
namespace {

namespace wire = engine::wire;

constexpr int kLookAroundMs = 500;

class EngineLoop {
 public:
  EngineLoop(Channel& channel, LoadedEngine& loaded)
      : channel_(channel), loaded_(loaded), engine_(*loaded.engine), sender_(channel) {}

  Status run() {
    channel_.publish(engine_.stats());
    BUNDLE_CHECK(sender_.send(wire::encode_ready()));
    while (!stopped_) {
      BUNDLE_TRY(const bool received, receive());
      if (stopped_) break;
      BUNDLE_TRY(const bool stepped, step());
      if (!received && !stepped) BUNDLE_CHECK(sleep());
    }
    return {};
  }

 private:
  /// True when anything came.
  Result<bool> receive() {
    bool any = false;
    for (;;) {
      BUNDLE_TRY(const std::size_t n, channel_.read(buffer_));
      if (n == 0) return any;
      any = true;
      BUNDLE_CHECK(frames_.feed(std::span(buffer_).first(n)));
      for (const wire::Frame& frame : frames_.take()) BUNDLE_CHECK(handle(frame));
    }
  }

  Status handle(const wire::Frame& frame) {
    const Bytes body = as_bytes(frame.body);
    if (frame.kind == wire::Kind::kSubmit) {
      BUNDLE_TRY(engine::Request request, wire::decode_submit(body));
      engine_.submit(std::move(request));
    } else if (frame.kind == wire::Kind::kAbort) {
      BUNDLE_TRY(const std::uint64_t id, wire::decode_abort(body));
      engine_.abort(id);
    } else if (frame.kind == wire::Kind::kStop) {
      stopped_ = true;
    } else {
      return bad_input("the supervisor sent an unknown message");
    }
    return {};
  }

  Result<bool> step() {
    const bool worked = engine_.step(events_);
    BUNDLE_CHECK(engine_.health());
    channel_.beat();
    channel_.publish(engine_.stats());
    outgoing_.clear();
    for (const engine::Event& event : events_) outgoing_ += wire::encode_event(event);
    events_.clear();
    BUNDLE_CHECK(sender_.send(outgoing_));
    return worked;
  }

  /// An idle engine finds out too that a rank on another machine is gone.
  Status sleep() {
    if (channel_.fall_asleep(/*wants_data=*/true, /*wants_room=*/false)) {
      pollfd bell{channel_.bell(), POLLIN, 0};
      ::poll(&bell, 1, loaded_.look_around ? kLookAroundMs : -1);
    }
    channel_.wake_up();
    if (loaded_.look_around) return loaded_.look_around();
    return {};
  }

  Channel& channel_;
  const LoadedEngine& loaded_;
  engine::Engine& engine_;
  FrameSender sender_;
  wire::FrameReader frames_;
  std::array<std::byte, 1 << 16> buffer_;
  std::vector<engine::Event> events_;
  std::string outgoing_;
  bool stopped_ = false;
};

/// How the process ended, and whether the supervisor knows why.
struct End {
  Status status;
  bool told = false;
};

End serve(Channel& channel, const LoadEngine& load) {
  FrameSender sender(channel);
  auto spec = read_spec();
  auto loaded = spec ? load(*spec, sender.reporter()) : Result<LoadedEngine>(spec.error());
  if (loaded) {
    Status end = EngineLoop(channel, *loaded).run();
    if (!end && loaded->give_up) loaded->give_up(end.error());
    return {std::move(end)};
  }
  return {loaded.error(), sender.send(wire::encode_failure(loaded.error())).has_value()};
}

End run(int parent, const LoadEngine& load) {
  if (Status settled = settle_process(parent, "bundle-engine"); !settled) return {settled};
  auto channel = Channel::attach({Fd(kMemoryFd), Fd(kSupervisorBellFd), Fd(kEngineBellFd)});
  if (!channel) return {channel.error()};
  return serve(*channel, load);
}

}  // namespace

int run_engine_process(int parent, const LoadEngine& load) {
  const End end = run(parent, load);
  if (end.status) return 0;
  if (!end.told) log_error("engine: " + end.status.error().message());
  return static_cast<int>(end.status.error().code);
}

}  // namespace bundle::launch
