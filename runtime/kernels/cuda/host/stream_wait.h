// How the host waits for what it queued.
#pragma once

#include "base/result.h"
#include "runtime/comm/communicator.h"
#include "runtime/kernels/cuda/driver/driver.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class StreamWait {
 public:
  /// Both must outlive it.
  StreamWait(Driver& driver, Stream stream) : driver_(driver), stream_(stream) {}
  ~StreamWait();
  StreamWait(const StreamWait&) = delete;
  StreamWait& operator=(const StreamWait&) = delete;

  /// The stream waits for these ranks too, which a dead one would make it do forever: from now on
  /// wait() looks after them. They must outlive the last wait().
  void watch(comm::Communicator& ranks);

  /// Until all is done that was queued. An error when a rank is gone: the group was then aborted,
  /// and what was queued is not done.
  Status wait();

 private:
  Driver& driver_;
  Stream stream_;
  comm::Communicator* ranks_ = nullptr;
  Event event_ = nullptr;
};

}  // namespace bundle::kernels::cuda
