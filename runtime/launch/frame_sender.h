// How an engine process tells its supervisor something: whole frames through the channel.
#pragma once

#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/launch/channel.h"

namespace bundle::launch {

/// Sends whole frames, waiting for room where there is none. Not thread-safe.
class FrameSender {
 public:
  explicit FrameSender(Channel& channel) : channel_(channel) {}

  Status send(std::string_view frames);
  /// Tells now and then how far loading is. The sender must outlive it.
  Progress reporter();

 private:
  void wait_for_room();

  Channel& channel_;
};

}  // namespace bundle::launch
