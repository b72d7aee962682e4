#include "cli/bench_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <thread>

#include "cli/made_up_tokens.h"
#include "cli/memory_bandwidth.h"
#include "runtime/engine/engine.h"
#include "runtime/format/checkpoint.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/sizing/weight_parts.h"

namespace bundle::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kShortPrompt = 16;  // of the warm-up and of each stream
constexpr std::int64_t kWarmUpTokens = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Rounded to so many parts of one: 100 keeps two decimals.
double round_to(double value, double parts) { return std::round(value * parts) / parts; }

/// When the tokens of one request came.
struct Timeline {
  std::vector<double> times;  // seconds since the run began, one a token
  std::vector<std::int32_t> tokens;
};

/// Everything that a run stands on, in the order it must go away.
struct Bench {
  format::Checkpoint checkpoint;
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<engine::Engine> engine;
  double load_seconds = 0;
};

Result<std::unique_ptr<kernels::Device>> make_device(const BenchOptions& options) {
  if (options.backend == "cpu-reference") return kernels::make_reference_device();
  return kernels::make_cpu_device({.threads = options.threads, .isa = {}});
}

Result<std::unique_ptr<Bench>> load(const format::ModelSource& source,
                                    const BenchOptions& options) {
  const auto start = Clock::now();
  BUNDLE_TRY(format::Checkpoint checkpoint, format::Checkpoint::open(source));
  auto bench = std::make_unique<Bench>(Bench{std::move(checkpoint), nullptr, nullptr, 0});
  BUNDLE_TRY(bench->device, make_device(options));
  BUNDLE_TRY(auto model, model::load_model(bench->checkpoint, *bench->device));
  engine::EngineOptions engine_options;
  engine_options.max_context = std::max(options.prompt_tokens, kShortPrompt) +
                               std::max(options.output_tokens, kWarmUpTokens) + 1;
  engine_options.kv_tokens = engine_options.max_context * options.streams + 1024;
  engine_options.max_sequences = options.streams;
  engine_options.kv_type = kv_type_named(options.kv_type).value_or(engine_options.kv_type);
  engine_options.prefix_cache = false;
  engine_options.seed = 1;
  BUNDLE_TRY(bench->engine,
             engine::Engine::create(std::move(model), *bench->device, engine_options));
  bench->load_seconds = seconds_since(start);
  return bench;
}

/// Runs `streams` greedy requests together to their end.
Result<std::vector<Timeline>> run(engine::Engine& engine, std::int64_t prompt, std::int64_t output,
                                  std::int64_t streams, const Progress& progress,
                                  std::string_view stage) {
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < streams; ++i) {
    engine::Request request;
    request.id = static_cast<std::uint64_t>(i + 1);
    request.prompt = made_up_tokens(prompt, engine.config().vocab_size, request.id);
    request.sampling.temperature = 0;
    request.sampling.max_tokens = static_cast<std::int32_t>(output);
    request.sampling.ignore_eos = true;
    engine.submit(std::move(request));
  }
  std::vector<Timeline> timelines(static_cast<std::size_t>(streams));
  std::vector<engine::Event> events;
  while (!engine.idle()) {
    events.clear();
    engine.step(events);
    const double now = seconds_since(start);
    for (const engine::Event& event : events) {
      if (event.finish == engine::FinishReason::kError)
        return failed("the engine failed: " + event.error);
      Timeline& timeline = timelines[event.id - 1];
      for (const std::int32_t token : event.tokens) {
        timeline.times.push_back(now);
        timeline.tokens.push_back(token);
      }
    }
    if (progress && !progress(stage, 0, 0)) return Error{ErrorCode::kInterrupted, "stopped"};
  }
  return timelines;
}

double decode_rate(const std::vector<Timeline>& timelines) {
  double first = timelines.front().times.front();
  double last = 0;
  std::size_t tokens = 0;
  for (const Timeline& timeline : timelines) {
    first = std::min(first, timeline.times.front());
    last = std::max(last, timeline.times.back());
    tokens += timeline.times.size() - 1;
  }
  return last > first ? static_cast<double>(tokens) / (last - first) : 0;
}

std::uint64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

struct Measurements {
  std::vector<double> prefill, decode, streams, first_token;
  bool deterministic = true;
};

Status measure(engine::Engine& engine, const BenchOptions& options, const Progress& progress,
               Measurements& found) {
  std::optional<std::vector<std::int32_t>> reference;
  for (int repetition = 0; repetition < options.repetitions; ++repetition) {
    BUNDLE_TRY(const auto prefill,
               run(engine, options.prompt_tokens, 1, 1, progress, "measuring prefill"));
    const double first = prefill.front().times.front();
    found.first_token.push_back(first);
    found.prefill.push_back(static_cast<double>(options.prompt_tokens) / first);
    BUNDLE_TRY(const auto decode,
               run(engine, 1, options.output_tokens + 1, 1, progress, "measuring decode"));
    found.decode.push_back(decode_rate(decode));
    BUNDLE_TRY(const auto streams, run(engine, kShortPrompt, options.output_tokens + 1,
                                       options.streams, progress, "measuring streams"));
    found.streams.push_back(decode_rate(streams));
    if (reference && *reference != streams.back().tokens) found.deterministic = false;
    reference = streams.back().tokens;
  }
  return {};
}

}  // namespace

Result<Json> run_bench(const format::ModelSource& source, const BenchOptions& options,
                       const Progress& progress) {
  const int threads =
      options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency());
  BUNDLE_TRY(const auto bench, load(source, options));
  const std::uint64_t resident = peak_resident_bytes();
  double bandwidth = read_bandwidth_gb_s(threads, 3);
  BUNDLE_TRY(const auto warm_up,
             run(*bench->engine, kShortPrompt, kWarmUpTokens, 1, progress, "warming up"));
  Measurements found;
  BUNDLE_CHECK(measure(*bench->engine, options, progress, found));
  bandwidth = std::max(bandwidth, read_bandwidth_gb_s(threads, 3));
  const format::ModelConfig& config = bench->engine->config();
  const double bound = bandwidth * 1e9 /
                       sizing::token_bytes(sizing::stored_parts(bench->checkpoint, config), config);
  const double decode = median(found.decode);
  return Json(JsonObject{{"architecture", bench->engine->config().architecture},
                         {"device", std::string(bench->device->name())},
                         {"threads", threads},
                         {"prompt_tokens", options.prompt_tokens},
                         {"output_tokens", options.output_tokens},
                         {"streams", options.streams},
                         {"repetitions", options.repetitions},
                         {"prefill_tok_s", round_to(median(found.prefill), 100)},
                         {"decode_tok_s", round_to(decode, 100)},
                         {"streams_tok_s", round_to(median(found.streams), 100)},
                         {"first_token_ms", round_to(1000 * median(found.first_token), 100)},
                         {"load_ms", round_to(1000 * bench->load_seconds, 100)},
                         {"memory_bandwidth_gb_s", round_to(bandwidth, 100)},
                         {"decode_bound_tok_s", round_to(bound, 100)},
                         {"decode_share_of_bound", round_to(decode / bound, 1000)},
                         {"weight_bytes", bench->checkpoint.weight_bytes()},
                         {"load_peak_rss_bytes", resident},
                         {"deterministic", found.deterministic}});
}

}  // namespace bundle::cli
