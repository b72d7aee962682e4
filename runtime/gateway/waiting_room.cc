#include "runtime/gateway/waiting_room.h"

namespace bundle::gateway {
namespace {

constexpr std::chrono::seconds kWakeInterval{10};

}  // namespace

bool WaitingRoom::enter() {
  if (taken_ >= places_) return false;
  ++taken_;
  const auto now = std::chrono::steady_clock::now();
  if (wake_ && now - last_wake_ > kWakeInterval) {
    last_wake_ = now;
    wake_();
  }
  return true;
}

}  // namespace bundle::gateway
