#include "runtime/launch/rank_main.h"

#include "base/log.h"
#include "runtime/launch/engine_ground.h"
#include "runtime/launch/engine_start.h"
#include "runtime/model/leader.h"

namespace bundle::launch {
namespace {

Status run(int parent, int rank) {
  BUNDLE_CHECK(settle_process(parent, "bundle-rank"));
  BUNDLE_TRY(const std::string spec, read_spec());
  BUNDLE_TRY(EngineGround ground, make_shared_ground(spec, rank));
  const auto model = load_part(ground, {});
  if (model) return model::follow(**model, *ground.device, *ground.team);
  ground.team->world().abort(model.error());
  return model.error();
}

}  // namespace

int run_rank_process(int parent, int rank) {
  const Status end = run(parent, rank);
  if (end) return 0;
  log_error("rank " + std::to_string(rank) + ": " + end.error().message());
  return static_cast<int>(end.error().code);
}

}  // namespace bundle::launch
