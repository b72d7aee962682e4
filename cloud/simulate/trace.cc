#include "cloud/simulate/trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <random>
#include <string>

namespace bundle::cloud {
namespace {

constexpr int kMostDays = 31;
constexpr double kMostSeconds = 86400.0 * kMostDays;
constexpr int kLongestMean = 1'000'000;  // tokens
constexpr std::size_t kMostRequests = 20'000'000;

template <typename T>
bool read_number(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

/// Days since 1970-01-01 of a civil date (Howard Hinnant's days_from_civil).
std::int64_t days_of(std::int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t of_era = year - era * 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/// "2023-11-16 18:15:46.6805900" or a plain number of seconds.
std::optional<double> read_time(std::string_view text) {
  double seconds = 0;
  if (read_number(text, seconds)) return seconds;
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  std::int64_t year = 0;
  int month = 0, day = 0, hour = 0, minute = 0;
  const bool whole =
      read_number(text.substr(0, 4), year) && read_number(text.substr(5, 2), month) &&
      read_number(text.substr(8, 2), day) && read_number(text.substr(11, 2), hour) &&
      read_number(text.substr(14, 2), minute) && read_number(text.substr(17), seconds);
  if (!whole) return std::nullopt;
  return static_cast<double>(days_of(year, month, day)) * 86400 + hour * 3600 + minute * 60 +
         seconds;
}

std::string_view next_field(std::string_view& line) {
  const std::string_view field = line.substr(0, line.find(','));
  line.remove_prefix(std::min(field.size() + 1, line.size()));
  return field;
}

void begin_at_zero(Trace& trace) {
  std::stable_sort(trace.begin(), trace.end(),
                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
  const double start = trace.empty() ? 0 : trace.front().arrival;
  for (TraceRequest& request : trace) request.arrival -= start;
}

using Random = std::mt19937_64;

/// Lognormal with that mean; at least one token.
int random_length(double mean, double sigma, Random& random) {
  std::lognormal_distribution<double> length(std::log(mean) - sigma * sigma / 2, sigma);
  return static_cast<int>(std::clamp(length(random), 1.0, 1e6));
}

/// The rate at a time, relative to the average.
std::optional<double> relative_rate(const LoadShape& load, double time) {
  const double part = time / load.seconds;
  if (load.shape == "steady" || load.shape == "bursts") return 1.0;
  if (load.shape == "ramp") return 2 * part;
  if (load.shape == "sine") return 1 - 0.9 * std::cos(2 * std::numbers::pi * part);
  if (load.shape == "flash") return part >= 0.45 && part < 0.55 ? 10.0 : 1.0;
  if (load.shape == "onoff") return std::fmod(time, 600) < 60 ? 1.0 : 0.0;
  return std::nullopt;
}

Status check_load(const LoadShape& load) {
  if (!relative_rate(load, 0)) {
    return Error{ErrorCode::kUsage, "there is no load of shape '" + std::string(load.shape) + "'",
                 "", "Shapes: steady, ramp, sine, flash, bursts, onoff."};
  }
  const auto refuse = [](const std::string& what) { return Error{ErrorCode::kUsage, what}; };
  // Written so that a NaN is refused too.
  if (!(load.rate > 0)) return refuse("the rate must be over 0 requests a second");
  if (!(load.seconds > 0 && load.seconds <= kMostSeconds)) {
    return refuse("the load must last over 0 and at most " + std::to_string(kMostDays) + " days");
  }
  if (!(load.rate * load.seconds < static_cast<double>(kMostRequests))) {
    return refuse("the load has over " + std::to_string(kMostRequests) + " requests");
  }
  if (!(load.variation > 0)) return refuse("the variation between arrivals must be over 0");
  const auto fits = [](double mean) { return mean >= 1 && mean <= kLongestMean; };
  if (!fits(load.prompt_mean) || !fits(load.output_mean)) {
    return refuse("mean lengths of prompts and answers are from 1 to " +
                  std::to_string(kLongestMean) + " tokens");
  }
  return {};
}

}  // namespace

Result<Trace> read_trace(std::string_view csv, std::string_view where) {
  Trace trace;
  std::int64_t number = 0;
  while (!csv.empty()) {
    std::string_view line = csv.substr(0, csv.find('\n'));
    csv.remove_prefix(std::min(line.size() + 1, csv.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && std::isalpha(static_cast<unsigned char>(line[0]))))
      continue;
    const auto arrival = read_time(next_field(line));
    TraceRequest request;
    const bool whole = arrival && read_number(next_field(line), request.prompt_tokens) &&
                       read_number(next_field(line), request.output_tokens);
    if (!whole || request.prompt_tokens < 0 || request.output_tokens < 0) {
      return bad_input("the line is not TIMESTAMP,ContextTokens,GeneratedTokens",
                       std::string(where) + ":" + std::to_string(number));
    }
    request.arrival = *arrival;
    request.prompt_tokens = std::max(1, request.prompt_tokens);
    request.output_tokens = std::max(1, request.output_tokens);
    if (trace.size() == kMostRequests)
      return bad_input("the trace is too long", std::string(where));
    trace.push_back(request);
  }
  if (trace.empty()) return bad_input("the trace holds no request", std::string(where));
  begin_at_zero(trace);
  if (trace.back().arrival > kMostSeconds) {
    return bad_input("the requests lie more than 31 days apart", std::string(where),
                     "A wrong year in one line? Give the part that matters.");
  }
  return trace;
}

Result<Trace> generate_trace(const LoadShape& load) {
  BUNDLE_CHECK(check_load(load));
  Random random(load.seed);
  // Gamma gaps of mean 1 and the wanted variation, stretched by the rate at their time.
  const double shape = 1 / (load.variation * load.variation);
  std::gamma_distribution<double> gap(shape, 1 / shape);
  Trace trace;
  constexpr double kStep = 0.05;  // how far time moves where the rate is zero
  for (double time = 0; time < load.seconds;) {
    const double rate = load.rate * *relative_rate(load, time);
    if (rate < load.rate * 1e-3) {
      time += kStep;
      continue;
    }
    time += gap(random) / rate;
    if (time >= load.seconds) break;
    trace.push_back({time, random_length(load.prompt_mean, 1.0, random),
                     random_length(load.output_mean, 0.8, random)});
  }
  if (trace.empty()) return Error{ErrorCode::kUsage, "the load holds no request"};
  return trace;
}

Trace multiplied(const Trace& trace, double times, std::uint64_t seed) {
  Random random(seed);
  std::uniform_real_distribution<double> within(0, 1);
  Trace more;
  for (const TraceRequest& request : trace) {
    const auto whole = static_cast<std::size_t>(times);
    const double rest = times - static_cast<double>(whole);
    const std::size_t copies = whole + (rest > 0 && within(random) < rest ? 1 : 0);
    for (std::size_t i = 0; i < copies; ++i) {
      TraceRequest copy = request;
      if (i > 0) copy.arrival += within(random);
      more.push_back(copy);
    }
  }
  std::stable_sort(more.begin(), more.end(),
                   [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
  return more;
}

}  // namespace bundle::cloud
