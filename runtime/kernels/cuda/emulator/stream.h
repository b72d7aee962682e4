// A stream that runs each kernel when it is queued, or keeps it for a graph that is being captured.
#pragma once

#include <functional>
#include <vector>

#include "runtime/kernels/cuda/emulator/block.h"

namespace bundle::kernels::cuda::emulator {

/// What a graph replays, in order.
using Graph = std::vector<std::function<void()>>;

/// Not thread-safe.
class EmulatedStream {
 public:
  explicit EmulatedStream(Machine& machine) : machine_(machine) {}

  Machine& machine() { return machine_; }

  void launch(const char* name, const LaunchShape& shape, std::function<void()> thread) {
    queue(
        [this, name, shape, thread = std::move(thread)] { machine_.launch(name, shape, thread); });
  }
  /// Copies and library calls.
  void queue(std::function<void()> work) {
    if (capturing_) {
      captured_.push_back(std::move(work));
    } else {
      work();
    }
  }

  void begin_capture() {
    captured_.clear();
    capturing_ = true;
  }
  Graph end_capture() {
    capturing_ = false;
    return std::move(captured_);
  }
  bool capturing() const { return capturing_; }

 private:
  Machine& machine_;
  Graph captured_;
  bool capturing_ = false;
};

}  // namespace bundle::kernels::cuda::emulator
