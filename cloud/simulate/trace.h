// Load: requests with their arrival times and lengths, read from a trace or generated.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::cloud {

struct TraceRequest {
  double arrival = 0;  // seconds from the start
  int prompt_tokens = 0;
  int output_tokens = 0;
};

/// Sorted by arrival.
using Trace = std::vector<TraceRequest>;

/// Azure's columns TIMESTAMP, ContextTokens, GeneratedTokens ("2023-11-16 18:15:46.6805900"), or
/// plain seconds in the first column. kBadInput with the line for anything else.
Result<Trace> read_trace(std::string_view csv, std::string_view where);

/// Generated load. `shape` is how the rate varies over the duration:
///   steady, ramp (0 to twice the rate), sine (one day's swing), flash (ten times the rate for the
///   middle tenth), bursts (gamma arrivals of that variation), onoff (a minute on, nine off).
struct LoadShape {
  std::string_view shape = "steady";
  double rate = 1;  // requests a second, on average over the steady part
  double seconds = 3600;
  double variation = 1;       // coefficient of variation between arrivals; 1: Poisson
  double prompt_mean = 1024;  // lognormal lengths, sigma 1 and 0.8
  double output_mean = 256;
  std::uint64_t seed = 1;
};
/// kUsage for an unknown shape or numbers out of range. The same seed gives the same trace.
Result<Trace> generate_trace(const LoadShape& load);

/// `times` as many requests: each is repeated within the second after it. A fraction keeps that
/// share of them.
Trace multiplied(const Trace& trace, double times, std::uint64_t seed);

}  // namespace bundle::cloud
