#include "runtime/kernels/cuda/host/stream_wait.h"

#include <chrono>

namespace bundle::kernels::cuda {
namespace {

using Clock = std::chrono::steady_clock;
/// Between two looks at the other ranks: far longer than a look takes.
constexpr std::chrono::milliseconds kLook{5};

}  // namespace

StreamWait::~StreamWait() {
  if (event_ != nullptr) driver_.free_event(event_);
}

void StreamWait::watch(comm::Communicator& ranks) {
  ranks_ = &ranks;
  if (event_ == nullptr) event_ = driver_.make_event();
}

Status StreamWait::wait() {
  if (ranks_ == nullptr) {
    driver_.wait(stream_);
    return {};
  }
  driver_.record(event_, stream_);
  auto look = Clock::now() + kLook;
  while (!driver_.reached(event_)) {
    if (Clock::now() < look) continue;
    const Status there = ranks_->health();
    if (!there) {
      ranks_->abort(there.error());
      return there;
    }
    look = Clock::now() + kLook;
  }
  return {};
}

}  // namespace bundle::kernels::cuda
