// Times a piece of work on this machine.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace bundle::cli {

/// Seconds on the steady clock.
inline double steady_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The median of runs that take about 0.4 s together, at least three, behind one that warms up.
template <typename Body>
double median_time(const Body& body) {
  body();
  std::vector<double> times;
  const double end = steady_now() + 0.4;
  while (times.size() < 3 || (steady_now() < end && times.size() < 200)) {
    const double start = steady_now();
    body();
    times.push_back(steady_now() - start);
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace bundle::cli
