// The ranks that share a model, as one of them sees them: its place, and the groups it computes in.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "runtime/comm/communicator.h"
#include "runtime/kernels/device.h"
#include "runtime/model/placement.h"

namespace bundle::model {

/// A tensor's memory, for a communicator of tensors.
inline std::span<std::byte> bytes_of(kernels::Tensor x) {
  return std::as_writable_bytes(std::span(x.f32(), static_cast<std::size_t>(x.rows * x.cols)));
}

/// The ranks over which a sum is divided; by itself, a rank that has all of it.
///
/// A hidden state x lies on all of them. To add Σ y_r, of which each rank has a term, the first
/// computes x + y_0, the others y_r alone in x's place, and then the ranks add up what they have.
class Partners {
 public:
  Partners() = default;
  explicit Partners(comm::Communicator* group) : group_(group) {}

  /// Whether this rank's x stands for x itself, and biases are its own to add.
  bool first() const { return group_ == nullptr || group_->rank() == 0; }
  /// Makes x the sum over the ranks. A failure stays in the communicator (health()).
  void add_up(kernels::Tensor x) const {
    if (group_ == nullptr || x.rows == 0) return;
    (void)group_->all_reduce({x.f32(), static_cast<std::size_t>(x.rows * x.cols)});
  }

 private:
  comm::Communicator* group_ = nullptr;
};

/// Thread-compatible, as its communicator is.
class Team {
 public:
  /// `world` has parallel.ranks() ranks, which all call this; kUsage when it has another number.
  /// `device` is what this rank computes on, and must outlive the team; kFailed where it cannot be
  /// connected to the other ranks', or the first has another kind.
  static Result<std::unique_ptr<Team>> make(std::unique_ptr<comm::Communicator> world,
                                            const Parallel& parallel, kernels::Device& device);

  const Placement& placement() const { return placement_; }
  /// All ranks, for what lies in the host's memory; and for what lies in the device's.
  comm::Communicator& world() const { return *world_; }
  comm::Communicator& tensors() const { return tensors_ == nullptr ? *world_ : *tensors_; }
  /// Whether what the ranks exchange takes its place among the device's work, as a kernel does: a
  /// step of it can be kept and run again.
  bool on_device() const { return tensors_ != nullptr; }
  Status health() const;

  /// All ranks of this one's stage; those that share a sequence's attention with it.
  Partners stage() const { return Partners(stage_.get()); }
  Partners attention() const { return Partners(attention_.get()); }
  /// One rank of each attention group, in their order; null where there is one group.
  comm::Communicator* groups() const { return groups_.get(); }

 private:
  Team(std::unique_ptr<comm::Communicator> world, const Placement& placement)
      : world_(std::move(world)), placement_(placement) {}

  std::unique_ptr<comm::Communicator> world_;
  std::unique_ptr<comm::Communicator> tensors_;  // null: the host's memory is the device's
  Placement placement_;
  std::unique_ptr<comm::Communicator> stage_, attention_, groups_;  // null: this rank alone
};

}  // namespace bundle::model
