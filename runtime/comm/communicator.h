// How the ranks that share one model speak to each other. What a model does on many ranks is
// written once over this interface; behind it stand shared memory for the ranks of one machine
// (shared_memory.h), TCP for those of several (tcp.h), and NCCL for ranks with a GPU each
// (kernels/cuda/host/gpu_communicator.h), where a call returns once its work is queued.
//
// Every rank of a group makes the same calls in the same order. Results do not depend on timing:
// a sum is always taken in the order of the ranks, element by element, and all ranks get the same
// bits, whatever the length of what is summed.
//
// A rank that dies, gives up, or does not answer within the implementation's patience ends the call
// of every rank that waits for it with an error that names it, and all later calls at once with the
// same error: a group that has failed stays so. So a caller may make several calls and look at
// health() after the last; until then, what the calls should have written is undefined.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace bundle::comm {

/// Of one group.
inline constexpr int kMostRanks = 64;

/// One rank's end of a group. Thread-compatible: one thread at a time, over all groups that were
/// made from one another. Memory is that of the device that the ranks compute on.
class Communicator {
 public:
  virtual ~Communicator() = default;

  /// This rank's number in the group, from 0.
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// values[i] = rank 0's values[i] + rank 1's + …, on every rank. Equal lengths everywhere.
  virtual Status all_reduce(std::span<float> values) = 0;
  /// `all` becomes the parts of all ranks one after the other; all.size() is size() · part.size().
  virtual Status all_gather(Bytes part, std::span<std::byte> all) = 0;
  /// parts[i] goes to rank i, received[i] comes from it, this rank's own too. Lengths may differ
  /// from pair to pair, and both sides of a pair know them.
  virtual Status all_to_all(std::span<const Bytes> parts,
                            std::span<const std::span<std::byte>> received) = 0;
  /// `bytes` of rank `root` on every rank.
  virtual Status broadcast(std::span<std::byte> bytes, int root) = 0;
  /// Returns when the bytes are on their way; `to` need not be receiving yet, but then what is
  /// beyond the implementation's buffer waits.
  virtual Status send(Bytes bytes, int to) = 0;
  virtual Status receive(std::span<std::byte> bytes, int from) = 0;
  /// Returns once every rank has called it.
  virtual Status barrier() = 0;

  /// Waits until rank `from` has sent something that was not received yet, however long that
  /// takes: only its end is an error. For ranks that have nothing to do.
  virtual Status await(int from) = 0;

  /// The group of these ranks of this one, ascending, with numbers of its own. Only they call it;
  /// this rank must be one of them.
  virtual std::unique_ptr<Communicator> subgroup(std::span<const int> ranks) = 0;

  /// Ends every rank's calls, now and later, with this error and this rank's number.
  virtual void abort(const Error& why) = 0;
  /// The error that ended this rank's calls, if one did; a rank that has gone is one too, also
  /// where no call waits for it.
  virtual Status health() const = 0;
};

}  // namespace bundle::comm
