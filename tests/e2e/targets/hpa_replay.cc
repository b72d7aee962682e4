// The simulator's side of hpa_replay.sh: the same load and the same settings, once under the
// simulated HPA, once under replicas that a real cluster has.
//
//   hpa_replay manifest RUN.json         the HPA that these settings render to on Kubernetes 1.20
//   hpa_replay simulate RUN.json [TIMES] a line "time provisioned in_flight" each second; the
//                                        scaler decides at TIMES (first on each line) or every 15 s
//   hpa_replay decide RUN.json REAL LOOKS
//                                        for how many of the LOOKS ("time metric") the simulated
//                                        rule decides as the real one did, whose series is REAL
//   hpa_replay follow RUN.json           reads "time ready" and answers with the requests in flight
//                                        then; so many replicas are ready from that moment on
//
// RUN.json: profile, trace with multiply (or shape, rate), minutes, min_replicas, max_replicas,
// target, scale_up_delay_seconds, scale_down_delay_seconds.
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/file.h"
#include "cloud/kubernetes/manifests.h"
#include "cloud/simulate/simulation.h"

namespace bundle::cloud {
namespace {

struct ReplayRun {
  Trace trace;
  LoadProfile profile;
  PolicySettings settings;
};

Result<Trace> load_of(const Json& run, const std::string& where) {
  BUNDLE_TRY(const double minutes, get_double_or(run, "minutes", 60, where));
  BUNDLE_TRY(const std::string path, get_string_or(run, "trace", "", where));
  Trace trace;
  if (path.empty()) {
    BUNDLE_TRY(const std::string shape, get_string(run, "shape", where));
    BUNDLE_TRY(const double rate, get_double_or(run, "rate", 1, where));
    BUNDLE_TRY(trace, generate_trace({.shape = shape, .rate = rate, .seconds = minutes * 60}));
  } else {
    BUNDLE_TRY(const double multiply, get_double_or(run, "multiply", 1, where));
    BUNDLE_TRY(const std::string text, read_file(path, 1u << 30));
    BUNDLE_TRY(trace, read_trace(text, path));
    trace = multiplied(trace, multiply, 1);
  }
  std::erase_if(trace, [&](const auto& request) { return request.arrival > minutes * 60; });
  return trace;
}

Result<ReplayRun> read_run(const std::string& path) {
  BUNDLE_TRY(const Json document, read_json_file(path, 1u << 20));
  ReplayRun run;
  BUNDLE_TRY(run.trace, load_of(document, path));
  const Json* profile = find(document, "profile");
  BUNDLE_TRY(run.profile, profile_from_json(profile == nullptr ? Json() : *profile, path));
  PolicySettings& set = run.settings;
  BUNDLE_TRY(set.min_replicas, get_int_or(document, "min_replicas", 1, path));
  BUNDLE_TRY(set.max_replicas, get_int_or(document, "max_replicas", 1, path));
  BUNDLE_TRY(set.target, get_double_or(document, "target", 16, path));
  BUNDLE_TRY(set.up_delay_seconds, get_double_or(document, "scale_up_delay_seconds", 0, path));
  BUNDLE_TRY(set.down_delay_seconds, get_double_or(document, "scale_down_delay_seconds", 0, path));
  return run;
}

Status print_manifest(const ReplayRun& run) {
  DeploymentSpec spec;
  spec.name = "replay";
  spec.target = "kubernetes";
  spec.launch = JsonObject{{"name", "m"}, {"model", JsonArray{}}};
  spec.settings = JsonObject{{"image", "none"}, {"autoscaler", "hpa"}};
  spec.scaling.min_replicas = run.settings.min_replicas;
  spec.scaling.max_replicas = run.settings.max_replicas;
  spec.scaling.target_concurrency = static_cast<std::int64_t>(run.settings.target);
  spec.scaling.scale_up_delay_seconds = static_cast<int>(run.settings.up_delay_seconds);
  spec.scaling.scale_down_delay_seconds = static_cast<int>(run.settings.down_delay_seconds);
  JsonObject secrets;
  BUNDLE_TRY(const DeploymentSpec form, cluster_form(spec, secrets));
  BUNDLE_TRY(const ClusterFeatures features, features_of_version("1.20"));
  BUNDLE_TRY(const auto objects, manifests(form, secrets, {features, Rollout::kReplace}));
  for (const Manifest& one : objects) {
    if (one.kind == "HorizontalPodAutoscaler") std::cout << one.yaml;
  }
  return {};
}

/// The first two numbers of each line; a missing one is 0.
std::vector<std::pair<double, double>> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::pair<double, double>> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::pair<double, double> pair;
    words >> pair.first >> pair.second;
    lines.push_back(pair);
  }
  return lines;
}

std::vector<double> read_times(const std::string& path) {
  std::vector<double> times;
  for (const auto& [time, rest] : read_lines(path)) times.push_back(time);
  return times;
}

/// The second number of the last line up to `time`.
double value_at(const std::vector<std::pair<double, double>>& series, double time) {
  double value = series.front().second;
  for (const auto& [at, next] : series) {
    if (at <= time) value = next;
  }
  return value;
}

/// The real one has taken effect a third of an interval later.
Status print_decisions(const ReplayRun& run, const std::string& real, const std::string& looks) {
  constexpr double kEffect = 5;
  const auto series = read_lines(real);
  if (series.empty()) return bad_input("there is no series", real);
  BUNDLE_TRY(const auto hpa, make_policy("hpa", run.settings));
  int same = 0;
  int all = 0;
  for (const auto& [time, metric] : read_lines(looks)) {
    ScalingSignals signals;
    signals.now = time;
    signals.in_flight = metric;
    signals.provisioned = static_cast<int>(value_at(series, time));
    same += hpa->desired(signals) == static_cast<int>(value_at(series, time + kEffect)) ? 1 : 0;
    ++all;
  }
  std::cout << "  " << same << " of " << all << " decisions are those of the rule\n";
  // A change that the real one's latency puts just inside a period of its limits comes a look
  // later.
  if (same >= 0.95 * all) return {};
  return Error{ErrorCode::kFailed, "the simulated rule decides otherwise than the real one"};
}

/// Without times every interval.
Status print_simulated(const ReplayRun& run, std::vector<double> times) {
  BUNDLE_TRY(const auto hpa, make_policy("hpa", run.settings));
  const double end = run.trace.back().arrival;
  if (times.empty()) {
    for (double at = 0; at <= end; at += hpa->interval()) times.push_back(at);
  }
  Simulation simulation(run.trace, run.profile, run.settings.min_replicas, {});
  std::size_t decision = 0;
  for (double second = 0; second <= end; ++second) {
    for (; decision < times.size() && times[decision] <= second; ++decision) {
      simulation.advance(times[decision]);
      simulation.scale_to(hpa->desired(simulation.signals()));
    }
    simulation.advance(second);
    const ScalingSignals signals = simulation.signals();
    std::cout << second << ' ' << signals.provisioned << ' ' << signals.in_flight << '\n';
  }
  return {};
}

void follow(const ReplayRun& run) {
  LoadProfile started = run.profile;
  started.startup_seconds = 0;  // the cluster's pods take their time themselves
  Simulation simulation(run.trace, started, run.settings.min_replicas, {});
  double time = 0;
  int ready = 0;
  while (std::cin >> time >> ready) {
    simulation.advance(time);
    simulation.scale_to(ready);
    std::cout << simulation.signals().in_flight << std::endl;
  }
}

Status main_of(const std::vector<std::string>& arguments) {
  const bool known = arguments.size() >= 2;
  if (!known)
    return Error{ErrorCode::kUsage, "hpa_replay manifest|simulate|decide|follow RUN.json"};
  BUNDLE_TRY(const ReplayRun run, read_run(arguments[1]));
  if (arguments[0] == "manifest") return print_manifest(run);
  if (arguments[0] == "simulate") {
    return print_simulated(
        run, arguments.size() > 2 ? read_times(arguments[2].c_str()) : std::vector<double>());
  }
  if (arguments[0] == "decide" && arguments.size() == 4) {
    return print_decisions(run, arguments[2], arguments[3]);
  }
  follow(run);
  return {};
}

}  // namespace
}  // namespace bundle::cloud

int main(int count, char** values) {
  const auto status = bundle::cloud::main_of({values + 1, values + count});
  if (status) return 0;
  std::cerr << status.error().message() << '\n';
  return 1;
}
