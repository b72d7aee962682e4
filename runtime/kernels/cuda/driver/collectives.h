// What ranks with a GPU each say to each other: NCCL's part of the backend, as the host code sees
// it. The emulator has another. Plain types only, as driver.h.
#pragma once

#include <cstddef>

#include "runtime/kernels/cuda/lane/stream.h"

namespace bundle::kernels::cuda {

/// Names a group that is being formed; made by one rank, handed to the others.
struct GroupId {
  char bytes[128] = {};
};

/// Device memory on its way to or from one rank.
struct Parcel {
  int rank = 0;
  void* memory = nullptr;
  std::size_t bytes = 0;
};

/// One rank's end of a group. Work is queued on a stream, and every rank queues the same in the
/// same order; memory is its own GPU's. Calls come from the thread of the rank's Driver, which must
/// outlive it. A failed call makes status() say why, forever.
class Collectives {
 public:
  virtual ~Collectives() = default;

  /// Null while all went well.
  virtual const char* status() const = 0;

  /// values = the sum over the ranks, in an order that depends on their number and on `count`.
  virtual void all_reduce(Stream stream, float* values, std::size_t count) = 0;
  /// all = the parts of all ranks, `bytes` each, in their order. `part` may be its place in `all`.
  virtual void all_gather(Stream stream, const void* part, void* all, std::size_t bytes) = 0;
  virtual void broadcast(Stream stream, void* memory, std::size_t bytes, int root) = 0;
  /// All parcels at once, so that ranks that send to each other do not wait in a circle.
  virtual void exchange(Stream stream, const Parcel* out, std::size_t out_count, const Parcel* in,
                        std::size_t in_count) = 0;

  /// Ends what is queued and what is under way, on this rank: another one is gone.
  virtual void abort() = 0;
};

/// How groups are made. Both give false or null with the reason in `problem` (`size` bytes).
struct CollectiveTable {
  bool (*make_id)(int ranks, GroupId* id, char* problem, std::size_t size);
  /// Waits until `ranks` ranks have come. Owned by the caller.
  Collectives* (*join)(const GroupId& id, int rank, int ranks, char* problem, std::size_t size);
};

}  // namespace bundle::kernels::cuda
