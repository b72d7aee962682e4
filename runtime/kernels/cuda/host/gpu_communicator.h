// Ranks that compute on a GPU each, as the model speaks to them: what they exchange stays in the
// GPUs' memory and is queued on the device's stream, between its kernels.
#pragma once

#include <memory>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/kernels/cuda/driver/collectives.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

class GpuCommunicator;

/// What all groups of one rank stand on; it must outlive them.
struct GroupGround {
  Driver& driver;
  Stream stream;
  const Ops& ops;
  const CollectiveTable& collectives;
  std::uint64_t& changes;  // counts moves of memory that graphs refer to
  bool ordered = false;    // sums of any length are taken in the order of the ranks
  std::vector<GpuCommunicator*> groups = {};
};

/// Calls return once their work is queued. So an error of the network or of another rank comes out
/// of health(), after the device was waited for; what was queued behind it means nothing.
///
/// Sums of up to kOneWayBytes are gathered by every rank and added up in the ranks' order, as on
/// CPUs: one way instead of NCCL's two. Longer ones are NCCL's, whose order depends on their
/// length.
class GpuCommunicator final : public comm::Communicator {
 public:
  /// Of the same ranks as `host`, which all call this. `host` is what barrier(), await() and
  /// abort() go through, and must outlive it. kFailed says what the transport lacks; the other
  /// ranks are told.
  static Result<std::unique_ptr<GpuCommunicator>> make(GroupGround& ground,
                                                       comm::Communicator& host);
  GpuCommunicator(const GpuCommunicator&) = delete;
  GpuCommunicator& operator=(const GpuCommunicator&) = delete;
  ~GpuCommunicator() override;

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  Status all_reduce(std::span<float> values) override;
  Status all_gather(Bytes part, std::span<std::byte> all) override;
  Status all_to_all(std::span<const Bytes> parts,
                    std::span<const std::span<std::byte>> received) override;
  Status broadcast(std::span<std::byte> bytes, int root) override;
  Status send(Bytes bytes, int to) override;
  Status receive(std::span<std::byte> bytes, int from) override;
  Status barrier() override { return host_.barrier(); }
  Status await(int from) override { return host_.await(from); }
  std::unique_ptr<comm::Communicator> subgroup(std::span<const int> ranks) override;
  /// Ends every group of this rank's GPU: one that waits would keep the stream.
  void abort(const Error& why) override;
  Status health() const override;

  static constexpr std::size_t kOneWayBytes = std::size_t{256} << 10;

 private:
  GpuCommunicator(GroupGround& ground, comm::Communicator& host,
                  std::unique_ptr<comm::Communicator> owned);
  Status join();
  Status sum_in_order(std::span<float> values);

  GroupGround& ground_;
  std::unique_ptr<comm::Communicator> owned_;  // host_, where it is a subgroup's
  comm::Communicator& host_;
  std::unique_ptr<Collectives> collectives_;  // null: joining failed
  Status problem_;
  GrowingBuffer parts_;
};

}  // namespace bundle::kernels::cuda
