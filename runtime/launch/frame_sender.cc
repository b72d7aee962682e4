#include "runtime/launch/frame_sender.h"

#include <chrono>
#include <poll.h>

#include "runtime/engine/wire.h"

namespace bundle::launch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kProgressInterval = std::chrono::milliseconds(50);

}  // namespace

Status FrameSender::send(std::string_view frames) {
  Bytes left = as_bytes(frames);
  while (!left.empty()) {
    BUNDLE_TRY(const std::size_t n, channel_.write(left));
    left = left.subspan(n);
    if (n == 0) wait_for_room();
  }
  return {};
}

/// Requests that come meanwhile lie in their ring; they are no reason to wake.
void FrameSender::wait_for_room() {
  if (channel_.fall_asleep(/*wants_data=*/false, /*wants_room=*/true)) {
    pollfd bell{channel_.bell(), POLLIN, 0};
    ::poll(&bell, 1, -1);
  }
  channel_.wake_up();
}

Progress FrameSender::reporter() {
  return [this, last = Clock::time_point()](std::string_view stage, std::uint64_t done,
                                            std::uint64_t total) mutable {
    const auto now = Clock::now();
    if (now - last < kProgressInterval && done < total) return true;
    last = now;
    return send(engine::wire::encode_progress({std::string(stage), done, total})).has_value();
  };
}

}  // namespace bundle::launch
