// bundle simulate: replays load against a profile under autoscalers, and says which settings hold
// an objective at the least cost.
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "cloud/simulate/chart.h"
#include "cloud/simulate/recommend.h"
#include "cloud/simulate/scaler_settings.h"

namespace bundle::cli {
namespace {

constexpr std::uint64_t kMostTraceBytes = 2ull << 30;

struct SimulateArguments {
  std::string trace;
  std::string profile;
  cloud::LoadShape load;
  std::string shape;
  double multiply = 1;
  double startup = -1;
  cloud::SearchOptions search;
  double minutes = 60;
  std::string chart;
  std::string report;
};

Result<cloud::Trace> load_trace(SimulateArguments& arguments) {
  cloud::Trace trace;
  if (!arguments.trace.empty()) {
    BUNDLE_TRY(const std::string text, read_file(arguments.trace, kMostTraceBytes));
    BUNDLE_TRY(trace, cloud::read_trace(text, arguments.trace));
  } else if (!arguments.shape.empty()) {
    arguments.load.shape = arguments.shape;
    arguments.load.seconds = arguments.minutes * 60;
    BUNDLE_TRY(trace, cloud::generate_trace(arguments.load));
  } else {
    return Error{ErrorCode::kUsage, "there is no load to replay", "",
                 "Name a trace with --trace, or a shape with --generate."};
  }
  if (arguments.multiply == 1) return trace;
  trace = cloud::multiplied(trace, arguments.multiply, arguments.load.seed);
  if (trace.empty()) return Error{ErrorCode::kUsage, "--multiply leaves no request"};
  return trace;
}

Result<cloud::LoadProfile> load_profile(const SimulateArguments& arguments) {
  BUNDLE_TRY(const Json document, read_json_file(arguments.profile, 1u << 20));
  BUNDLE_TRY(cloud::LoadProfile profile, cloud::profile_from_json(document, arguments.profile));
  if (arguments.startup >= 0) profile.startup_seconds = arguments.startup;
  return profile;
}

/// A request that no replica's cache can hold would wait for ever.
Status check_lengths(const cloud::Trace& trace, const cloud::LoadProfile& profile) {
  const auto length = [](const cloud::TraceRequest& one) {
    return std::int64_t{one.prompt_tokens} + one.output_tokens;
  };
  const auto longest =
      std::max_element(trace.begin(), trace.end(),
                       [&](const auto& a, const auto& b) { return length(a) < length(b); });
  if (length(*longest) <= profile.kv_tokens) return {};
  return bad_input("a request of " + std::to_string(length(*longest)) +
                       " tokens does not fit a cache of " + std::to_string(profile.kv_tokens),
                   "kv_tokens", "Shorter requests, or a profile with room for them.");
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string text_of(const cloud::Recommendation& found, double price) {
  std::vector<std::vector<std::string>> rows;
  for (const cloud::SimulationResult& one : found.per_policy) {
    rows.push_back({one.policy,
                    std::to_string(one.settings.min_replicas) + "-" +
                        std::to_string(one.settings.max_replicas),
                    one.policy == "static" ? "-" : fixed(one.settings.target, 2),
                    fixed(100 * one.attainment, 2) + " %",
                    one.worst_replay < 0 ? "-" : fixed(100 * one.worst_replay, 2) + " %",
                    fixed(one.replica_hours, 2), fixed(one.average_replicas, 2),
                    fixed(one.replica_hours * price, 2), std::to_string(one.changes),
                    fixed(one.starting_hours, 2), fixed(one.ttft_p99, 2) + " s",
                    fixed(1000 * one.tpot_p99, 1) + " ms"});
  }
  std::string text = table({"POLICY", "REPLICAS", "TARGET", "WITHIN", "REPLAYED", "HOURS",
                            "AVERAGE", "COST", "CHANGES", "STARTING", "TTFT P99", "TPOT P99"},
                           rows);
  text += "\n" + found.verdict + "\n";
  if (found.best) text += "\n" + cloud::scaler_settings(*found.best);
  return text;
}

Status write_pictures(const SimulateArguments& arguments, const cloud::Recommendation& found) {
  const cloud::SimulationResult& shown = found.best ? *found.best : found.per_policy.front();
  if (!arguments.chart.empty()) {
    BUNDLE_CHECK(write_file_atomic(arguments.chart, cloud::svg_chart(shown)));
  }
  if (arguments.report.empty()) return {};
  return write_file_atomic(arguments.report,
                           cloud::html_report(found, arguments.search.price_per_replica_hour));
}

Result<Outcome> simulate(SimulateArguments arguments, const Session& session) {
  BUNDLE_TRY(const cloud::LoadProfile profile, load_profile(arguments));
  BUNDLE_TRY(const cloud::Trace trace, load_trace(arguments));
  BUNDLE_CHECK(check_lengths(trace, profile));
  BUNDLE_TRY(const cloud::Recommendation found,
             cloud::recommend(trace, profile, arguments.search, session.progress()));
  BUNDLE_CHECK(write_pictures(arguments, found));
  const double price = arguments.search.price_per_replica_hour;
  JsonObject document = cloud::to_json(found, price).get_object();
  document["profile"] = cloud::to_json(profile);
  document["requests"] = trace.size();
  return Outcome{std::move(document), text_of(found, price)};
}

void add_load_options(CLI::App& command, SimulateArguments& arguments) {
  CLI::Option* trace =
      command
          .add_option("--trace", arguments.trace,
                      "CSV of TIMESTAMP,ContextTokens,GeneratedTokens, as Azure publishes")
          ->check(CLI::ExistingFile);
  command.add_option("--generate", arguments.shape, "Load of a shape instead of a trace")
      ->excludes(trace)
      ->check(CLI::IsMember({"steady", "ramp", "sine", "flash", "bursts", "onoff"}));
  command.add_option("--rate", arguments.load.rate, "Requests a second of generated load")
      ->capture_default_str();
  command.add_option("--minutes", arguments.minutes, "Duration of generated load")
      ->capture_default_str();
  command
      .add_option("--variation", arguments.load.variation,
                  "Variation between arrivals: 1 is Poisson, 3 is bursty")
      ->capture_default_str();
  command.add_option("--prompt-tokens", arguments.load.prompt_mean, "Mean of generated prompts")
      ->capture_default_str();
  command.add_option("--output-tokens", arguments.load.output_mean, "Mean of generated answers")
      ->capture_default_str();
  command.add_option("--multiply", arguments.multiply, "So many times the load")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1000.0));
  command.add_option("--seed", arguments.load.seed, "Of everything random")->capture_default_str();
}

void add_search_options(CLI::App& command, SimulateArguments& arguments) {
  cloud::SearchOptions& search = arguments.search;
  command.add_option("--profile", arguments.profile, "What one replica does, measured (JSON)")
      ->required()
      ->check(CLI::ExistingFile);
  command.add_option("--startup", arguments.startup, "Seconds until a new replica answers")
      ->check(CLI::Range(0.0, 86400.0));
  command.add_option("--ttft-ms", search.objective.ttft_ms, "Objective: time to the first token")
      ->check(CLI::PositiveNumber);
  command.add_option("--tpot-ms", search.objective.tpot_ms, "Objective: time per further token")
      ->check(CLI::PositiveNumber);
  command.add_option("--goal", search.goal, "Share of requests that shall meet the objective")
      ->capture_default_str()
      ->check(CLI::Range(0.0001, 1.0));
  command.add_option("--policy", search.policies, "Only these scalers")
      ->check(CLI::IsMember(cloud::policy_names()))
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--max", search.max_replicas, "Most replicas")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command
      .add_option(
          "--seen", search.seen_share,
          "Share of the trace that a second search sees, whose settings are tried on the rest; "
          "0: none")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 0.9));
  command.add_option("--price", search.price_per_replica_hour, "Of one replica for an hour");
  command.add_option("--chart", arguments.chart, "Write the best run's picture here (SVG)");
  command.add_option("--report", arguments.report, "Write a page with all pictures here (HTML)");
}

}  // namespace

void add_simulate(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command = add_command(
      app, "simulate", "Find the autoscaler settings that hold an objective at the least cost",
      "Replays a trace, or generated load, against a replica's measured profile under each "
      "scaler,\n"
      "searches bounds, targets and windows, and prints the settings. Says so when a fixed number\n"
      "of replicas is better, and when the objective cannot be met.\n\n"
      "Examples:\n"
      "  bundle simulate --trace conv.csv --multiply 4 --profile r1.json --ttft-ms 3000\n"
      "  bundle simulate --generate flash --rate 5 --profile r1.json --ttft-ms 1000 --report "
      "r.html");
  add_load_options(*command, *arguments);
  add_search_options(*command, *arguments);
  on_run(command, session, [arguments, &session] { return simulate(*arguments, session); });
}

}  // namespace bundle::cli
