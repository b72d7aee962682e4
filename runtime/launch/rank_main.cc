#include "runtime/launch/rank_main.h"

#include <optional>

#include "base/log.h"
#include "runtime/engine/wire.h"
#include "runtime/launch/channel.h"
#include "runtime/launch/engine_child.h"
#include "runtime/launch/engine_ground.h"
#include "runtime/launch/engine_start.h"
#include "runtime/launch/frame_sender.h"
#include "runtime/model/leader.h"

namespace bundle::launch {
namespace {

namespace wire = engine::wire;

/// Until the first rank's model goes. `on_prepared` is called once it serves.
Status follow_first(int rank, const Progress& progress, const std::function<void()>& on_prepared) {
  BUNDLE_TRY(const std::string spec, read_spec());
  BUNDLE_TRY(EngineGround ground, make_shared_ground(spec, rank, progress));
  const auto model = load_part(ground, progress);
  if (model) return model::follow(**model, *ground.device, *ground.team, on_prepared);
  ground.team->world().abort(model.error());
  return model.error();
}

/// A machine's first rank, where another machine leads: tells the supervisor what becomes of it.
Status follow_and_tell(int rank) {
  BUNDLE_TRY(Channel channel,
             Channel::attach({Fd(kMemoryFd), Fd(kSupervisorBellFd), Fd(kEngineBellFd)}));
  FrameSender sender(channel);
  const Status end =
      follow_first(rank, sender.reporter(), [&] { (void)sender.send(wire::encode_ready()); });
  (void)sender.send(end ? wire::encode_released() : wire::encode_failure(end.error()));
  return end;
}

Status run(int parent, int rank) {
  BUNDLE_CHECK(settle_process(parent, "bundle-rank"));
  return inherited(kMemoryFd) ? follow_and_tell(rank) : follow_first(rank, {}, {});
}

}  // namespace

int run_rank_process(int parent, int rank) {
  const Status end = run(parent, rank);
  if (end) return 0;
  log_error("rank " + std::to_string(rank) + ": " + end.error().message());
  return static_cast<int>(end.error().code);
}

}  // namespace bundle::launch
