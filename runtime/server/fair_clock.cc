#include "runtime/server/fair_clock.h"

#include <algorithm>

namespace bundle::server {

std::uint64_t FairClock::start(Client& client, double cost) {
  const std::lock_guard lock(mutex_);
  const double start = std::max(now_, client.virtual_finish);
  client.virtual_finish = start + cost / client.key().weight;
  return static_cast<std::uint64_t>(start);
}

void FairClock::serves(std::uint64_t start) {
  const std::lock_guard lock(mutex_);
  now_ = std::max(now_, static_cast<double>(start));
}

void FairClock::charge(Client& client, double more) {
  const std::lock_guard lock(mutex_);
  client.virtual_finish += more / client.key().weight;
}

}  // namespace bundle::server
