// Decode steps kept as graphs: a step whose shape was seen before is one launch instead of
// hundreds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "runtime/kernels/cuda/driver/driver.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

/// What a graph is good for: the same number of sequences, all with one row whose logits are
/// wanted, that reach no further than `max_positions` (a power of two).
struct StepShape {
  const KvCache* cache = nullptr;
  std::int64_t sequences = 0;
  std::int64_t max_positions = 0;

  auto operator<=>(const StepShape&) const = default;  // NOLINT(modernize-use-nullptr): its zero
};

/// Not thread-safe.
class StepGraphs {
 public:
  /// `changes` counts moves of memory that graphs refer to: each makes them all useless. All must
  /// outlive it.
  StepGraphs(Driver& driver, Stream stream, const std::uint64_t& changes)
      : driver_(driver), stream_(stream), changes_(changes) {}
  ~StepGraphs() { drop(); }
  StepGraphs(const StepGraphs&) = delete;

  /// Runs the step: plainly the first time that its shape is seen, so that memory grows as far as
  /// it must; captured the second; as a graph from then on.
  void run(const StepShape& shape, const std::function<void()>& body);
  /// The step under way can not be kept: it used memory that the next will not have.
  void spoil() { spoilt_ = true; }
  bool capturing() const { return capturing_; }

 private:
  void drop();
  Graph capture(const std::function<void()>& body);

  Driver& driver_;
  Stream stream_;
  const std::uint64_t& changes_;
  std::uint64_t valid_for_ = 0;
  std::map<StepShape, Graph> graphs_;  // null: seen once
  bool capturing_ = false;
  bool spoilt_ = false;
};

}  // namespace bundle::kernels::cuda
