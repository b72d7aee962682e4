#include "runtime/launch/engine_loop.h"

#include <array>
#include <chrono>
#include <csignal>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/engine/wire.h"
#include "runtime/launch/channel.h"
#include "runtime/launch/engine_child.h"

namespace bundle::launch {
namespace {

namespace wire = engine::wire;
using Clock = std::chrono::steady_clock;

constexpr auto kProgressInterval = std::chrono::milliseconds(50);
constexpr std::uint64_t kMostSpec = 64u << 20;

/// Sends whole frames, waiting for room where there is none.
class Sender {
 public:
  explicit Sender(Channel& channel) : channel_(channel) {}

  Status send(std::string_view frames) {
    Bytes left = as_bytes(frames);
    while (!left.empty()) {
      BUNDLE_TRY(const std::size_t n, channel_.write(left));
      left = left.subspan(n);
      if (n == 0) wait_for_room();
    }
    return {};
  }

 private:
  /// Requests that come meanwhile lie in their ring; they are no reason to wake.
  void wait_for_room() {
    if (channel_.fall_asleep(/*wants_data=*/false, /*wants_room=*/true)) {
      pollfd bell{channel_.bell(), POLLIN, 0};
      ::poll(&bell, 1, -1);
    }
    channel_.wake_up();
  }

  Channel& channel_;
};

class EngineLoop {
 public:
  EngineLoop(Channel& channel, LoadedEngine& loaded)
      : channel_(channel), engine_(*loaded.engine), health_(loaded.health), sender_(channel) {}

  Status run() {
    channel_.publish(engine_.stats());
    BUNDLE_CHECK(sender_.send(wire::encode_ready()));
    while (!stopped_) {
      BUNDLE_TRY(const bool received, receive());
      if (stopped_) break;
      BUNDLE_TRY(const bool stepped, step());
      if (!received && !stepped) sleep();
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
    if (health_) BUNDLE_CHECK(health_());
    channel_.beat();
    channel_.publish(engine_.stats());
    outgoing_.clear();
    for (const engine::Event& event : events_) outgoing_ += wire::encode_event(event);
    events_.clear();
    BUNDLE_CHECK(sender_.send(outgoing_));
    return worked;
  }

  void sleep() {
    if (channel_.fall_asleep(/*wants_data=*/true, /*wants_room=*/false)) {
      pollfd bell{channel_.bell(), POLLIN, 0};
      ::poll(&bell, 1, -1);
    }
    channel_.wake_up();
  }

  Channel& channel_;
  engine::Engine& engine_;
  const std::function<Status()>& health_;
  Sender sender_;
  wire::FrameReader frames_;
  std::array<std::byte, 1 << 16> buffer_;
  std::vector<engine::Event> events_;
  std::string outgoing_;
  bool stopped_ = false;
};

/// Tells the supervisor now and then how far loading is.
Progress reporter(Sender& sender) {
  return [&sender, last = Clock::time_point()](std::string_view stage, std::uint64_t done,
                                               std::uint64_t total) mutable {
    const auto now = Clock::now();
    if (now - last < kProgressInterval && done < total) return true;
    last = now;
    return sender.send(wire::encode_progress({std::string(stage), done, total})).has_value();
  };
}

/// Signals of a terminal or a service manager reach the whole group, but the supervisor decides
/// when the engine ends. Without a supervisor there is nothing to live for.
Status settle(int parent) {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return system_error("cannot watch the supervisor");
  ::prctl(PR_SET_NAME, "bundle-engine");
  if (::getppid() != parent) return failed("the supervisor is gone");
  return {};
}

Result<std::string> read_spec() {
  const Fd spec(kSpecFd);
  return read_file("/proc/self/fd/" + std::to_string(kSpecFd), kMostSpec);
}

/// How the process ended, and whether the supervisor knows why.
struct End {
  Status status;
  bool told = false;
};

End serve(Channel& channel, const LoadEngine& load) {
  Sender sender(channel);
  auto spec = read_spec();
  auto loaded = spec ? load(*spec, reporter(sender)) : Result<LoadedEngine>(spec.error());
  if (loaded) return {EngineLoop(channel, *loaded).run()};
  return {loaded.error(), sender.send(wire::encode_failure(loaded.error())).has_value()};
}

End run(int parent, const LoadEngine& load) {
  if (Status settled = settle(parent); !settled) return {settled};
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
