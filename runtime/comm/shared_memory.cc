#include "runtime/comm/shared_memory.h"

#include <bit>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/comm/endpoint_communicator.h"
#include "runtime/comm/shared_endpoint.h"

namespace bundle::comm {

Result<Fd> make_shared_memory(int ranks, std::size_t ring_bytes) {
  if (ranks < 1 || ranks > kMostRanks) {
    return Error{ErrorCode::kUsage, "there may be 1 to " + std::to_string(kMostRanks) +
                                        " ranks, not " + std::to_string(ranks)};
  }
  if (!std::has_single_bit(ring_bytes) || ring_bytes < 64 || ring_bytes > (64u << 20)) {
    return Error{ErrorCode::kUsage, "a ring between ranks has a power of two of bytes, 64 or more"};
  }
  const SharedLayout layout{static_cast<std::size_t>(ranks), ring_bytes};
  Fd memory(::memfd_create("bundle-ranks", MFD_CLOEXEC));
  if (!memory) return system_error("cannot make memory for ranks");
  if (::ftruncate(memory.get(), static_cast<off_t>(layout.bytes())) != 0) {
    return system_error("cannot make memory for ranks");
  }
  // Everything else begins as zeros, which is how the atomics begin.
  SharedHead head;
  head.ranks = layout.ranks;
  head.ring_bytes = layout.ring_bytes;
  if (::pwrite(memory.get(), &head, sizeof(head), 0) != static_cast<ssize_t>(sizeof(head))) {
    return system_error("cannot write the memory for ranks");
  }
  return memory;
}

Result<std::unique_ptr<Communicator>> join_shared_memory(const Fd& memory, int rank,
                                                         const SharedOptions& options) {
  BUNDLE_TRY(std::shared_ptr<Endpoint> endpoint,
             SharedEndpoint::join(memory, rank, options.patience));
  return make_communicator(std::move(endpoint));
}

}  // namespace bundle::comm
