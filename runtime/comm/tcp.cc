#include "runtime/comm/tcp.h"

#include "runtime/comm/endpoint_communicator.h"
#include "runtime/comm/meeting.h"
#include "runtime/comm/tcp_endpoint.h"

namespace bundle::comm {
namespace {

Status check_place(const GroupPlace& place) {
  const bool sound = place.ranks >= 1 && place.ranks <= kMostRanks && place.nodes >= 1 &&
                     place.ranks % place.nodes == 0 && place.rank >= 0 && place.rank < place.ranks;
  if (sound) return {};
  return Error{ErrorCode::kUsage, "there is no rank " + std::to_string(place.rank) + " of " +
                                      std::to_string(place.ranks) + " on " +
                                      std::to_string(place.nodes) + " machines"};
}

}  // namespace

Result<std::unique_ptr<Communicator>> join_group(const GroupPlace& place,
                                                 const TcpOptions& options) {
  BUNDLE_CHECK(check_place(place));
  BUNDLE_TRY(std::vector<Fd> sockets, meet(place, options));
  return make_communicator(
      std::make_shared<TcpEndpoint>(std::move(sockets), static_cast<std::size_t>(place.rank),
                                    place.ranks / place.nodes, options.patience));
}

}  // namespace bundle::comm
