// Checks every operation on a device against float64, and times it. Built by scripts/gpu-suite on a
// machine with the CUDA toolkit alone, and by the tests over the emulator.
//
//   gpu_suite [--small] [--checks-only] [--only CHECK] [--bench-only] [--bench NAME] [--device N]
//             [--json FILE]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "runtime/kernels/cuda/driver/backend.h"
#include "tests/gpu/bench.h"

extern "C" const bundle::kernels::cuda::Backend* bundle_cuda_backend();

namespace bundle::kernels::cuda {
namespace {

struct Options {
  bool small = false;
  bool checks_only = false;
  int device = 0;
  std::string only;   // of op_checks.h's names; "": all
  std::string bench;  // of kBenches' names; "": all
  bool bench_only = false;
  std::string json;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--small") {
      options.small = true;
    } else if (word == "--checks-only") {
      options.checks_only = true;
    } else if (word == "--bench-only") {
      options.bench_only = true;
    } else if (word == "--bench" && i + 1 < argc) {
      options.bench = argv[++i];
    } else if (word == "--only" && i + 1 < argc) {
      options.only = argv[++i];
    } else if (word == "--device" && i + 1 < argc) {
      options.device = std::atoi(argv[++i]);
    } else if (word == "--json" && i + 1 < argc) {
      options.json = argv[++i];
    } else {
      std::fprintf(stderr,
                   "usage: gpu_suite [--small] [--checks-only] [--only CHECK] [--bench-only] "
                   "[--bench NAME] [--device N] [--json FILE]\n");
      return false;
    }
  }
  return true;
}

std::unique_ptr<Driver> open_device(int device) {
  const Backend& backend = *bundle_cuda_backend();
  char problem[256] = "";
  if (backend.driver_version() < kLeastDriverVersion) {
    std::snprintf(problem, sizeof problem, "driver 580 (CUDA 13) is needed, this one has CUDA %d",
                  backend.driver_version());
  } else if (backend.device_count(problem, sizeof problem) > device) {
    std::unique_ptr<Driver> driver(backend.open(device, problem, sizeof problem));
    if (driver != nullptr) return driver;
  }
  std::fprintf(stderr, "gpu_suite: no GPU %d: %s\n", device, problem);
  return nullptr;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// Results as lines for people, and as JSON.
class Report {
 public:
  explicit Report(const DeviceFacts& facts) {
    std::printf("%s, sm_%d, %d multiprocessors, %.1f GiB\n", facts.name, facts.sm,
                facts.multiprocessors, static_cast<double>(facts.total_bytes) / (1 << 30));
    json_ = "{\"device\": " + quoted(facts.name) + ", \"sm\": " + std::to_string(facts.sm);
  }

  void add_checks(const std::vector<CheckResult>& results) {
    for (const CheckResult& result : results) {
      ++checks_;
      if (result.passed()) continue;
      ++failures_;
      std::printf("FAILED %s: error %.3g of %.3g allowed %s\n", result.name.c_str(), result.error,
                  result.tolerance, result.problem.c_str());
    }
  }

  void end_checks() {
    std::printf("%d checks, %d failed\n", checks_, failures_);
    json_ += ", \"checks\": " + std::to_string(checks_) +
             ", \"failures\": " + std::to_string(failures_) + ", \"timings\": [";
    std::printf("%-52s %10s %8s %7s %10s %10s\n", "", "us", "GB/s", "of copy", "tokens/s",
                "published");
  }

  void add(const Timing& timing) {
    if (!timing.problem.empty()) {
      std::printf("%-52s %s\n", timing.name.c_str(), timing.problem.c_str());
      return;
    }
    if (copy_ == 0.0) copy_ = timing.gigabytes_a_second();
    const double tokens = timing.tokens * 1e6 / timing.microseconds;
    std::printf("%-52s %10.1f %8.0f %6.0f%% %10.0f %10.1f\n", timing.name.c_str(),
                timing.microseconds, timing.gigabytes_a_second(),
                100 * timing.gigabytes_a_second() / copy_, tokens, timing.published_us);
    char line[320];
    std::snprintf(line, sizeof line,
                  "%s{\"name\": %s, \"us\": %.2f, \"gb_s\": %.1f, \"of_copy\": %.4f, "
                  "\"tokens_s\": %.1f, \"published_us\": %.1f}",
                  timings_++ == 0 ? "" : ", ", quoted(timing.name).c_str(), timing.microseconds,
                  timing.gigabytes_a_second(), timing.gigabytes_a_second() / copy_, tokens,
                  timing.published_us);
    json_ += line;
  }

  bool write(const std::string& path) const {
    if (path.empty()) return true;
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return false;
    const std::string text = json_ + "]}\n";
    const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    return std::fclose(file) == 0 && whole;
  }

  int checks() const { return checks_; }
  int failures() const { return failures_; }

 private:
  std::string json_;
  int checks_ = 0;
  int failures_ = 0;
  int timings_ = 0;
  double copy_ = 0.0;  // GB/s of the first timing, the copy
};

struct NamedBench {
  const char* name;
  std::vector<Timing> (*run)(const Subject&);
};
constexpr NamedBench kBenches[] = {{"decode", bench_decode},
                                   {"choices", bench_choices},
                                   {"r1", bench_r1},
                                   {"attention", bench_attention},
                                   {"products", bench_products}};

void time_all(const Subject& subject, const std::string& only, Report& report) {
  report.add(bench_copy(subject));
  for (const NamedBench& bench : kBenches) {
    if (!only.empty() && only != bench.name) continue;
    for (const Timing& timing : bench.run(subject)) report.add(timing);
  }
}

void check_all(const Subject& subject, const std::string& only, Report& report) {
  for (const NamedCheck& check : kChecks) {
    if (!only.empty() && only != check.name) continue;
    const auto begin = std::chrono::steady_clock::now();
    report.add_checks(check.run(subject));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("checked %s in %.1f s\n", check.name, took.count());
  }
}

int run(const Options& options) {
  const std::unique_ptr<Driver> driver = open_device(options.device);
  if (driver == nullptr) return 4;
  const Stream stream = driver->make_stream();
  const Backend& backend = *bundle_cuda_backend();
  const Subject subject{*driver, *backend.ops, stream, 1, !options.small, backend.collectives};
  Report report(driver->facts());
  if (!options.bench_only) check_all(subject, options.only, report);
  if (report.checks() == 0 && !options.bench_only) {
    std::fprintf(stderr, "gpu_suite: there is no check '%s'\n", options.only.c_str());
    return 2;
  }
  report.end_checks();
  if (!options.checks_only) time_all(subject, options.bench, report);
  driver->free_stream(stream);
  if (const char* problem = driver->status()) {
    std::fprintf(stderr, "gpu_suite: the device failed: %s\n", problem);
    return 1;
  }
  if (!report.write(options.json)) {
    std::fprintf(stderr, "gpu_suite: cannot write %s\n", options.json.c_str());
    return 1;
  }
  return report.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bundle::kernels::cuda

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // so that what stops half-way shows where
  bundle::kernels::cuda::Options options;
  if (!bundle::kernels::cuda::parse(argc, argv, options)) return 2;
  return bundle::kernels::cuda::run(options);
}
