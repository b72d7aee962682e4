#include <gtest/gtest.h>
#include <limits>
#include <numeric>

#include "base/file.h"
#include "cloud/simulate/chart.h"
#include "cloud/simulate/recommend.h"
#include "cloud/simulate/replica.h"
#include "cloud/simulate/scaler_settings.h"

namespace bundle::cloud {
namespace {

/// The constants of a published benchmark: a 32B model on two H100s.
LoadProfile sample_profile() {
  LoadProfile profile;
  profile.prefill_tokens_per_second = 15928;
  profile.step_ms = 14;
  profile.step_ms_per_sequence = 0.3;
  profile.kv_tokens = 350'000;
  profile.startup_seconds = 30;
  return profile;
}

std::vector<RequestOutcome> run_alone(const LoadProfile& profile, const Trace& trace) {
  std::vector<RequestOutcome> outcomes(trace.size());
  SimulatedReplica replica(profile, trace, outcomes);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    outcomes[i].arrival = trace[i].arrival;
    outcomes[i].output_tokens = trace[i].output_tokens;
    replica.submit(i, trace[i].arrival);
  }
  replica.advance(1e6);
  EXPECT_EQ(replica.in_flight(), 0u);
  EXPECT_EQ(replica.kv_used(), 0);
  EXPECT_EQ(replica.take_finished().size(), trace.size());
  return outcomes;
}

TEST(SimulatedReplica, OneRequestTakesWhatTheProfileSays) {
  const auto outcomes = run_alone(sample_profile(), {{1, 15928, 101}});
  EXPECT_NEAR(outcomes[0].ttft(), 1.0, 1e-9);
  EXPECT_NEAR(outcomes[0].tpot(), 0.0143, 1e-9);
}

TEST(SimulatedReplica, PromptsWaitForEachOther) {
  const auto outcomes = run_alone(sample_profile(), {{0, 15928, 1}, {0, 15928, 1}});
  EXPECT_NEAR(outcomes[0].ttft(), 1.0, 1e-9);
  EXPECT_NEAR(outcomes[1].ttft(), 2.0, 1e-9);
}

TEST(SimulatedReplica, RunningSequencesSlowPromptsAndTheyThem) {
  const auto outcomes = run_alone(sample_profile(), {{0, 16, 10000}, {10, 15928, 2}});
  EXPECT_NEAR(outcomes[1].ttft(), 1 / 0.8, 1e-6);
  EXPECT_GT(outcomes[0].tpot(), 0.0143);
}

TEST(SimulatedReplica, AFullCacheHoldsRequestsBack) {
  LoadProfile profile = sample_profile();
  profile.kv_tokens = 1000;
  const auto outcomes = run_alone(profile, {{0, 500, 500}, {0, 500, 500}, {0, 5000, 10}});
  EXPECT_GE(outcomes[1].first_token, outcomes[0].finish);
  EXPECT_GE(outcomes[2].first_token, outcomes[1].finish);
}

TEST(Trace, ReadsAzuresColumnsAndPlainSeconds) {
  const auto trace = read_trace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5000000,374,44\n"
      "2023-11-17 00:00:01.2500000,396,109\r\n",
      "t.csv");
  ASSERT_TRUE(trace) << trace.error().message();
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ(trace->at(0).arrival, 0);
  EXPECT_NEAR(trace->at(1).arrival, 1.75, 1e-6);
  EXPECT_EQ(trace->at(1).output_tokens, 109);
  EXPECT_EQ(read_trace("0,1,2\n5,1,2\n", "t")->at(1).arrival, 5);
  for (const char* bad : {"", "a,b,c\n", "0,1\n", "0,x,1\n", "0,-1,1\n", "2023-13,1,1\n"}) {
    EXPECT_EQ(read_trace(bad, "t").error().code, ErrorCode::kBadInput) << bad;
  }
  EXPECT_NE(read_trace("0,1,1\nx,1,1\n", "t").error().where.find("t:2"), std::string::npos);
}

TEST(Trace, GeneratedLoadHasItsRateAndRepeats) {
  for (const char* shape : {"steady", "sine", "ramp"}) {
    const auto trace = generate_trace({.shape = shape, .rate = 5, .seconds = 2000});
    ASSERT_TRUE(trace);
    EXPECT_NEAR(static_cast<double>(trace->size()), 10'000, 600) << shape;
  }
  const auto once = generate_trace({.shape = "bursts", .variation = 3, .seed = 7});
  const auto again = generate_trace({.shape = "bursts", .variation = 3, .seed = 7});
  ASSERT_TRUE(once && again);
  ASSERT_EQ(once->size(), again->size());
  EXPECT_EQ(once->back().prompt_tokens, again->back().prompt_tokens);
  EXPECT_EQ(generate_trace({.shape = "square"}).error().code, ErrorCode::kUsage);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(generate_trace({.rate = nan}).error().what.find("rate"), std::string::npos);
  EXPECT_NE(generate_trace({.seconds = 1e12}).error().what.find("31 days"), std::string::npos);
  EXPECT_NE(generate_trace({.rate = 1e9}).error().what.find("requests"), std::string::npos);
  EXPECT_NE(generate_trace({.variation = nan}).error().what.find("variation"), std::string::npos);
  EXPECT_NE(generate_trace({.output_mean = 1e12}).error().what.find("lengths"), std::string::npos);
}

TEST(Trace, MultipliedHasThatManyRequests) {
  const auto trace = generate_trace({.rate = 10, .seconds = 1000});
  EXPECT_EQ(multiplied(*trace, 4, 1).size(), 4 * trace->size());
  EXPECT_NEAR(static_cast<double>(multiplied(*trace, 0.5, 1).size()),
              0.5 * static_cast<double>(trace->size()), 0.05 * static_cast<double>(trace->size()));
}

ScalingSignals at(double now, double in_flight, int provisioned,
                  const std::vector<double>& history) {
  ScalingSignals signals;
  signals.now = now;
  signals.in_flight = in_flight;
  signals.ready = signals.provisioned = provisioned;
  signals.in_flight_history = signals.arrivals_history = &history;
  return signals;
}

/// The formula and limits of the HPA's documentation.
TEST(HpaPolicy, FollowsItsRules) {
  PolicySettings settings;
  settings.max_replicas = 100;
  settings.target = 32;
  const std::vector<double> none;
  const auto hpa = make_policy("hpa", settings);
  ASSERT_TRUE(hpa);
  EXPECT_EQ((*hpa)->desired(at(0, 100, 1, none)), 4);
  EXPECT_EQ((*hpa)->desired(at(15, 100, 4, none)), 4);   // does not run away while they start
  EXPECT_EQ((*hpa)->desired(at(30, 137, 4, none)), 4);   // ratio 1.07: within the tolerance
  EXPECT_EQ((*hpa)->desired(at(45, 3200, 4, none)), 8);  // four pods or double
  EXPECT_EQ((*hpa)->desired(at(60, 3200, 8, none)), 16);
  EXPECT_EQ((*hpa)->desired(at(75, 0, 16, none)), 16);   // 300 s of stabilization
  EXPECT_EQ((*hpa)->desired(at(400, 0, 16, none)), 15);  // one a minute
  EXPECT_EQ((*hpa)->desired(at(415, 0, 15, none)), 15);
  EXPECT_EQ((*hpa)->desired(at(460, 0, 15, none)), 14);
}

TEST(KedaPolicy, SleepsAndWakes) {
  PolicySettings settings;
  settings.min_replicas = 0;
  settings.max_replicas = 4;
  settings.target = 10;
  const std::vector<double> none;
  const auto keda = make_policy("keda", settings);
  EXPECT_EQ((*keda)->desired(at(0, 0, 0, none)), 0);
  EXPECT_EQ((*keda)->desired(at(15, 1, 0, none)), 1);
  EXPECT_EQ((*keda)->desired(at(30, 0, 1, none)), 1);
  EXPECT_EQ((*keda)->desired(at(400, 0, 1, none)), 0);
}

TEST(KpaPolicy, PanicsUpAtOnce) {
  PolicySettings settings;
  settings.max_replicas = 10;
  settings.target = 10;
  std::vector<double> history(60, 5);
  const auto kpa = make_policy("kpa", settings);
  EXPECT_EQ((*kpa)->desired(at(60, 5, 1, history)), 1);
  for (int i = 0; i < 6; ++i) history.push_back(80);
  EXPECT_EQ((*kpa)->desired(at(66, 80, 1, history)), 8);
}

TEST(SkyServePolicy, WaitsAndStartsOverAtAContrarySample) {
  PolicySettings settings;
  settings.max_replicas = 10;
  settings.target = 1;
  settings.up_delay_seconds = 60;
  const std::vector<double> high(60, 5);
  const std::vector<double> low(60, 1);
  const auto sky = make_policy("skyserve", settings);
  EXPECT_EQ((*sky)->desired(at(0, 0, 1, high)), 1);
  EXPECT_EQ((*sky)->desired(at(20, 0, 1, high)), 1);
  EXPECT_EQ((*sky)->desired(at(40, 0, 1, low)), 1);
  EXPECT_EQ((*sky)->desired(at(60, 0, 1, high)), 1);
  EXPECT_EQ((*sky)->desired(at(80, 0, 1, high)), 1);
  EXPECT_EQ((*sky)->desired(at(100, 0, 1, high)), 5);
}

TEST(Simulate, CountsHoursChangesAndHeldRequests) {
  Trace trace;
  for (int i = 0; i < 100; ++i) trace.push_back({600.0 + i, 100, 10});
  PolicySettings settings;
  settings.min_replicas = 0;
  settings.max_replicas = 2;
  const auto result = simulate(trace, sample_profile(), "keda", settings, {});
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(result->attainment, 1);
  EXPECT_GE(result->changes, 1);
  EXPECT_GE(result->longest_hold, 29);
  EXPECT_GE(result->zero_seconds, 590);
  const auto fixed = simulate(trace, sample_profile(), "static", settings, {});
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->changes, 0);
  EXPECT_NEAR(fixed->replica_hours, 2 * 700 / 3600.0, 0.01);
}

TEST(Simulate, MoreReplicasAreNeverWorse) {
  const auto trace =
      generate_trace({.shape = "bursts", .rate = 20, .seconds = 600, .variation = 2});
  ASSERT_TRUE(trace);
  double before = -1;
  for (const int n : {1, 2, 4, 8}) {
    PolicySettings settings;
    settings.min_replicas = settings.max_replicas = n;
    const auto result = simulate(*trace, sample_profile(), "static", settings, {2000, 150});
    ASSERT_TRUE(result);
    EXPECT_GE(result->attainment, before);
    before = result->attainment;
  }
  EXPECT_GT(before, 0.9);
}

TEST(Recommend, PrefersTheCheapestThatReachesTheGoal) {
  // An hour with one busy tenth: a scaler must beat the fixed count that the busy part needs.
  const auto trace = generate_trace({.shape = "flash", .rate = 2, .seconds = 3600});
  ASSERT_TRUE(trace);
  SearchOptions options;
  options.goal = 0.95;
  options.objective = {60'000, 100};
  const auto found = recommend(*trace, sample_profile(), options, {});
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_TRUE(found->best && found->best_fixed);
  EXPECT_GE(found->best->attainment, options.goal);
  EXPECT_LE(found->best->replica_hours, found->best_fixed->replica_hours);
  EXPECT_EQ(found->per_policy.size(), policy_names().size());
  EXPECT_FALSE(scaler_settings(*found->best).empty());
}

/// Azure's conversation trace, four times as many requests.
Trace conversation() {
  const std::string path =
      std::string(BUNDLE_SOURCE_DIR) + "/tests/cloud/data/azure_conversation.csv";
  const auto text = read_file(path);
  EXPECT_TRUE(text) << text.error().message();
  const auto trace = read_trace(*text, path);
  EXPECT_TRUE(trace) << trace.error().message();
  return multiplied(*trace, 4, 1);
}

TEST(Recommend, HoldsAzuresConversationsWithFewerHoursThanTheBestFixedCount) {
  const Trace trace = conversation();
  SearchOptions options;
  options.objective = {3000, 100};
  options.policies = {"hpa", "kpa"};
  options.seen_share = 0;
  const auto found = recommend(trace, sample_profile(), options, {});
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_TRUE(found->best && found->best_fixed);
  EXPECT_EQ(found->limit, "autoscale") << found->verdict;
  EXPECT_GE(found->best->attainment, 0.99);
  EXPECT_GE(found->best->worst_replay, 0.99);
  EXPECT_LT(found->best->replica_hours, 0.95 * found->best_fixed->replica_hours);
  // One less is too few: the fixed count is the smallest.
  PolicySettings fewer = found->best_fixed->settings;
  fewer.max_replicas = --fewer.min_replicas;
  EXPECT_LT(simulate(trace, sample_profile(), "static", fewer, options.objective)->attainment,
            0.99);
  // The settings are no luck of how the requests were multiplied.
  const auto again = simulate(replayed(trace, 99), sample_profile(), found->best->policy,
                              found->best->settings, options.objective);
  ASSERT_TRUE(again);
  EXPECT_GE(again->attainment, 0.985);
}

TEST(Recommend, AnswersTheSameOnAnyNumberOfThreadsAndTriesThePartThatItHadNotSeen) {
  const auto trace = generate_trace({.shape = "sine", .rate = 8, .seconds = 1200});
  ASSERT_TRUE(trace);
  SearchOptions options;
  options.objective = {2000, 100};
  options.policies = {"hpa"};
  options.threads = 1;
  const auto alone = recommend(*trace, sample_profile(), options, {});
  options.threads = 4;
  const auto together = recommend(*trace, sample_profile(), options, {});
  ASSERT_TRUE(alone && together);
  EXPECT_EQ(print_json(to_json(*alone, 1)), print_json(to_json(*together, 1)));
  ASSERT_TRUE(alone->held_out);
  EXPECT_EQ(alone->held_out->seen.requests + alone->held_out->rest.requests,
            static_cast<std::int64_t>(trace->size()));
}

TEST(Recommend, SaysWhenNoNumberOfReplicasHelps) {
  const Trace trace = {{0, 50'000, 10}, {10, 50'000, 10}};
  SearchOptions options;
  options.objective.ttft_ms = 1000;
  const auto found = recommend(trace, sample_profile(), options, {});
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->best);
  EXPECT_EQ(found->limit, "infeasible");
  EXPECT_NE(found->verdict.find("3139 ms"), std::string::npos) << found->verdict;
}

TEST(Recommend, CanBeStopped) {
  const Trace trace = {{0, 10, 10}};
  const auto found =
      recommend(trace, sample_profile(), {},
                [](std::string_view, std::uint64_t, std::uint64_t) { return false; });
  EXPECT_EQ(found.error().code, ErrorCode::kInterrupted);
}

TEST(Trace, RefusesWhatLiesYearsApart) {
  EXPECT_TRUE(
      read_trace("1023-11-16 23:59:59.5,1,1\n2023-11-17 00:00:01.2,1,1\n", "t").has_error());
}

TEST(Profile, RefusesAMisspeltKey) {
  const auto read = [](const std::string& more) {
    const std::string text =
        R"({"prefill_tokens_per_second":1,"step_ms":1,"kv_tokens":9,)" + more + "}";
    return profile_from_json(parse_json(text, "p").value(), "p");
  };
  EXPECT_EQ(read(R"("start_up":{"load":1})").error().remedy, "Did you mean 'startup'?");
  EXPECT_TRUE(read(R"("_measured":"on a Tuesday")"));
}

TEST(Profile, SumsStartupPhasesAndRefusesNonsense) {
  const auto read = [](const char* text) {
    return profile_from_json(parse_json(text, "p").value(), "p");
  };
  const auto profile = read(R"({"prefill_tokens_per_second":1000,"step_ms":10,"kv_tokens":1000,
                               "startup":{"fetch":10,"load":20,"warm_up":5}})");
  ASSERT_TRUE(profile) << profile.error().message();
  EXPECT_EQ(profile->startup_seconds, 35);
  EXPECT_TRUE(read("{}").has_error());
  EXPECT_TRUE(read(R"({"prefill_tokens_per_second":1,"step_ms":1,"kv_tokens":1,
                       "prefill_share":1})")
                  .has_error());
}

TEST(Chart, IsOneDocumentWithEscapedText) {
  Trace trace = {{0, 10, 10}, {100, 10, 10}};
  const auto found = recommend(trace, sample_profile(), {}, {});
  ASSERT_TRUE(found);
  const std::string svg = svg_chart(found->per_policy.front());
  EXPECT_EQ(svg.rfind("<svg ", 0), 0u);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
  const std::string html = html_report(*found, 2);
  EXPECT_NE(html.find("<table>"), std::string::npos);
  EXPECT_EQ(html.find("http://www.w3.org/1999"), std::string::npos);
}

}  // namespace
}  // namespace bundle::cloud
