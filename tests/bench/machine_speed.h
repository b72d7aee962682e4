// What this machine can do at this moment, for the denominators of benchmarks.
#pragma once

#include <algorithm>
#include <chrono>

namespace bundle::bench {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The shortest of several runs that together take about a third of a second.
template <typename Body>
double best_time(const Body& body) {
  double best = 1e9;
  const double end = seconds() + 0.3;
  for (int i = 0; i < 3 || seconds() < end; ++i) {
    const double start = seconds();
    body();
    best = std::min(best, seconds() - start);
  }
  return best;
}

/// Bytes a second that `threads` read from huge pages.
double memory_bandwidth(int threads);

}  // namespace bundle::bench
