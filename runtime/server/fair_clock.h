// Who goes first when several keys wait: start-time fair queueing.
//
// Every request is given a virtual time at which it would start if each key were served at a rate
// in proportion to its weight; the engine runs the earliest first. A key that sends much gets ever
// later times, one that comes now and then starts at the present. (P. Goyal, H. Vin, H. Cheng:
// Start-time Fair Queuing, SIGCOMM 1996.)
#pragma once

#include <cstdint>
#include <mutex>

#include "runtime/server/client.h"

namespace bundle::server {

/// Costs are in tokens. Thread-safe.
class FairClock {
 public:
  /// Virtual start of a request of this cost, and the client's next one comes after it.
  std::uint64_t start(Client& client, double cost);
  /// A request with that start runs now: nobody who comes from now on goes before it.
  void serves(std::uint64_t start);
  /// A request took so much more than it was charged for, or less.
  void charge(Client& client, double more);

 private:
  std::mutex mutex_;
  double now_ = 0;
};

}  // namespace bundle::server
