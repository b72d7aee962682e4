#include "runtime/server/admission.h"

#include <algorithm>
#include <cmath>

namespace bundle::server {

Admission::Ticket Admission::enter(std::int64_t count, std::int64_t running, std::int64_t limit) {
  std::int64_t now = in_flight_.load();
  do {
    if (now > 0 && now + count - running > limit) return {};
  } while (!in_flight_.compare_exchange_weak(now, now + count));
  return {this, count};
}

int Admission::retry_after(std::int64_t running) const {
  const double waiting = static_cast<double>(std::max<std::int64_t>(in_flight_ - running, 1));
  const double rate = per_second_;
  if (rate <= 0) return 5;
  return static_cast<int>(std::clamp(std::ceil(waiting / rate / 2), 1.0, 60.0));
}

void Admission::tick() {
  const std::int64_t finished = finished_;
  const auto latest = static_cast<double>(finished - finished_before_);
  finished_before_ = finished;
  per_second_ = 0.8 * per_second_ + 0.2 * latest;
}

void Admission::release(std::int64_t count) {
  in_flight_ -= count;
  finished_ += count;
}

}  // namespace bundle::server
