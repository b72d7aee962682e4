// How fast a whole model runs on a CPU device, without engine and sampler, as one JSON line.
//
//   model_bench MODEL [--threads N] [--device reference|ISA] [--profile]
//
// pp512: prefill of 512 tokens in one step, logits of the last; tg128: 128 tokens one after the
// other; b8: decode steps of 8 sequences. Medians of several runs. --profile adds each device
// function's share of the time.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>

#include "base/json.h"
#include "runtime/format/checkpoint.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/model/model.h"
#include "tests/bench/profiled_device.h"

namespace bundle::model {
namespace {

constexpr std::int64_t kBlockTokens = 16;
constexpr int kRuns = 5;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Options {
  std::string path;
  std::string device;
  int threads = 0;
  bool profile = false;
};

/// Sequences side by side, each with a block table of its own.
class Bench {
 public:
  Bench(Model& model, kernels::Device& device, std::size_t sequences, std::int64_t length)
      : model_(model), tables_(sequences) {
    const std::int64_t blocks = (length + kBlockTokens - 1) / kBlockTokens;
    cache_ = device
                 .make_kv_cache(model.kv_shape(DType::kF16, kBlockTokens),
                                blocks * static_cast<std::int64_t>(sequences))
                 .value();
    for (std::size_t i = 0; i < sequences; ++i) {
      tables_[i].resize(static_cast<std::size_t>(blocks));
      std::iota(tables_[i].begin(), tables_[i].end(), static_cast<std::int32_t>(i * blocks));
    }
  }

  /// One step of `count` tokens at `position` in every sequence, with the last one's logits.
  void step(std::int64_t position, std::size_t count) {
    tokens_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::int64_t>(i) + position;
      tokens_[i] = static_cast<std::int32_t>(at * 7919 % model_.config().vocab_size);
    }
    std::vector<SequenceChunk> chunks;
    for (const auto& table : tables_) chunks.push_back({tokens_, position, table, 1});
    model_.forward(chunks, *cache_, logits_);
  }

 private:
  Model& model_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<std::int32_t> tokens_;
  std::vector<float> logits_;
};

/// Median of `body`'s duration, after one run that does not count.
template <typename Body>
double median_time(const Body& body) {
  body();
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) {
    const double start = seconds();
    body();
    times.push_back(seconds() - start);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return times[kRuns / 2];
}

Result<JsonObject> measure(const Options& options) {
  std::unique_ptr<kernels::Device> plain;
  if (options.device == "reference") {
    plain = kernels::make_reference_device();
  } else {
    BUNDLE_TRY(plain, kernels::make_cpu_device({options.threads, options.device}));
  }
  kernels::ProfiledDevice profiled(*plain);
  kernels::Device& device = options.profile ? profiled : *plain;
  BUNDLE_TRY(auto source, format::ModelSource::open(options.path));
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(std::move(source)));
  const double start = seconds();
  BUNDLE_TRY(const auto model, load_model(checkpoint, device));
  JsonObject result{{"device", device.name()}, {"load_seconds", seconds() - start}};
  Bench one(*model, device, 1, 640), eight(*model, device, 8, 128);
  const auto report = [&](const char* name, double tokens, const auto& body) {
    profiled.reset();
    result[name] = tokens / median_time(body);
    if (options.profile) result[std::string(name) + "_percent"] = profiled.percent();
  };
  report("pp512_tok_s", 512, [&] { one.step(0, 512); });
  report("tg128_tok_s", 128, [&] {
    for (int i = 0; i < 128; ++i) one.step(i, 1);
  });
  report("b8_tok_s", 8 * 64, [&] {
    for (int i = 0; i < 64; ++i) eight.step(i, 1);
  });
  return result;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--profile") {
      options.profile = true;
    } else if (arg == "--threads" && i + 1 < argc) {
      options.threads = std::atoi(argv[++i]);
    } else if (arg == "--device" && i + 1 < argc) {
      options.device = argv[++i];
    } else if (!arg.starts_with("--") && options.path.empty()) {
      options.path = arg;
    } else {
      return false;
    }
  }
  return !options.path.empty();
}

}  // namespace
}  // namespace bundle::model

int main(int argc, char** argv) {
  bundle::model::Options options;
  if (!bundle::model::parse(argc, argv, options)) {
    std::cerr << "usage: model_bench MODEL [--threads N] [--device NAME] [--profile]\n";
    return 2;
  }
  const auto result = bundle::model::measure(options);
  if (!result) {
    std::cerr << "error: " << result.error().message() << "\n";
    return static_cast<int>(result.error().code);
  }
  std::cout << bundle::print_json(*result) << "\n";
}
