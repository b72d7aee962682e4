// What is said of a meeting of ranks while it lasts.
#pragma once

#include <chrono>
#include <poll.h>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/comm/tcp.h"

namespace bundle::comm {

/// Between two looks at time and at whoever asks for progress.
inline constexpr int kLookMs = 100;
/// For ranks to reach each other, once all have come.
inline constexpr std::chrono::seconds kMeshLimit{30};

/// Until one of the sockets is as wanted, or it is time to look around.
inline void wait_for(std::vector<pollfd>& wanted) { ::poll(wanted.data(), wanted.size(), kLookMs); }

/// Says at most once a second who is waited for.
class Teller {
 public:
  explicit Teller(const TcpOptions& options) : options_(options), start_(Clock::now()) {}

  /// kInterrupted when nobody wants to wait any longer.
  Status waiting(const std::string& what) {
    if (!options_.progress || Clock::now() < next_) return {};
    next_ = Clock::now() + kEvery;
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_);
    if (options_.progress(what, static_cast<std::uint64_t>(waited.count()), 0)) return {};
    return Error{ErrorCode::kInterrupted, "stopped while the ranks of a group were meeting"};
  }

  void say(const std::string& what) const {
    if (options_.warn) options_.warn(what);
  }

  /// Strangers may be many: what is beyond one a second is left out.
  void warn(const std::string& what) {
    if (Clock::now() < next_warning_) return;
    next_warning_ = Clock::now() + kEvery;
    say(what);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kEvery{1};

  const TcpOptions& options_;
  Clock::time_point start_, next_ = {}, next_warning_ = {};
};

}  // namespace bundle::comm
