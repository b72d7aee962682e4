// Tokens from logits: the choices go to the device, and the tokens' numbers alone come back.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/kernels/cuda/host/device_buffer.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/host/stream_wait.h"
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class ChoiceRunner {
 public:
  /// All must outlive it.
  ChoiceRunner(Driver& driver, Stream stream, const Ops& ops, StreamWait& wait)
      : driver_(driver),
        stream_(stream),
        ops_(ops),
        wait_(wait),
        memory_(driver, stream, moves_, "the choice of tokens") {}

  /// Device::choose, of at most kMostChoices; waits until all that was queued before is done.
  /// kFailed when there is no memory, or another rank is gone.
  Status run(Tensor logits, std::span<const TokenChoice> choices, std::int32_t* ids);

 private:
  Status reserve(std::int64_t count, std::int64_t cols);

  Driver& driver_;
  Stream stream_;
  const Ops& ops_;
  StreamWait& wait_;
  std::uint64_t moves_ = 0;  // which no graph asks about: choices lie outside of them
  GrowingBuffer memory_;
  HostBuffer staging_;  // choices, then ids
};

}  // namespace bundle::kernels::cuda
