// How long the mask of a constrained output takes, per token, on one thread with nothing beside it:
//   constraint_bench MODEL [TOKENS [FORMAT]]
// FORMAT is one of a structural tag, as JSON; without it a schema, any object and an expression.
// Outputs are drawn at random among the allowed tokens. A mask must be made while the model runs
// one step, and on a machine without a free core it takes its time from the model's threads.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "runtime/engine/constraint.h"
#include "runtime/format/checkpoint.h"
#include "runtime/format/model_config.h"
#include "runtime/launch/constraint_vocabulary.h"

namespace bundle {
namespace {

using Clock = std::chrono::steady_clock;

struct Named {
  const char* name;
  const char* format;
};

constexpr Named kConstraints[] = {
    {"json_schema",
     R"({"type":"json_schema","max_whitespace_cnt":2,"json_schema":{"type":"object","properties":{"items":
      {"type":"array","minItems":200,"items":{"type":"object","properties":{"name":{"type":"string"},
      "count":{"type":"integer"},"kind":{"enum":["a","b","c"]}},"required":["name","count","kind"]}}},
      "required":["items"]}})"},
    {"json_object",
     R"({"type":"json_schema","max_whitespace_cnt":2,"json_schema":{"type":"object"}})"},
    {"regex", R"({"type":"regex","pattern":"([a-z]+ ){300}"})"}};

/// Any allowed token but an end; -1 when there is none.
std::int32_t pick(std::span<const std::int32_t> mask, const engine::ConstraintVocabulary& tokens,
                  std::mt19937& random) {
  std::vector<std::int32_t> allowed;
  for (std::size_t id = 0; id < tokens.bytes.size(); ++id) {
    const bool may = mask.empty() || (static_cast<std::uint32_t>(mask[id / 32]) >> (id % 32) & 1U);
    if (may && !tokens.bytes[id].empty()) allowed.push_back(static_cast<std::int32_t>(id));
  }
  if (allowed.empty()) return -1;
  return allowed[random() % allowed.size()];
}

void measure(engine::ConstraintCompiler& compiler, const engine::ConstraintVocabulary& tokens,
             const Named& constraint, int count) {
  const std::string tag =
      std::string(R"({"type":"structural_tag","format":)") + constraint.format + "}";
  auto output = compiler.begin({tag, ""});
  const auto begun = Clock::now();
  while (output->state() == engine::ConstrainedOutput::State::kCompiling) {
    output->wait(std::chrono::milliseconds(100));
  }
  if (output->state() == engine::ConstrainedOutput::State::kFailed) {
    std::printf("%s: %s\n", constraint.name, output->error().message().c_str());
    return;
  }
  const double compiled = std::chrono::duration<double>(Clock::now() - begun).count();
  std::mt19937 random(1);
  std::vector<double> times;
  output->mask();
  for (int i = 0; i < count && !output->complete(); ++i) {
    const std::int32_t id = pick(output->mask(), tokens, random);
    if (id < 0) break;
    const auto start = Clock::now();
    output->take(id);
    output->mask();
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (const double time : times) sum += time;
  if (times.empty()) return;
  std::printf("%-12s compiled in %.2f s; %zu masks: mean %.0f us, p50 %.0f, p99 %.0f, most %.0f\n",
              constraint.name, compiled, times.size(), sum / static_cast<double>(times.size()),
              times[times.size() / 2], times[times.size() * 99 / 100], times.back());
}

int run(const char* path, int count, const char* format) {
  const auto checkpoint = format::Checkpoint::open(*format::ModelSource::open(path));
  const auto config = format::read_model_config(*checkpoint);
  const auto tokens =
      launch::constraint_vocabulary(*checkpoint, config->vocab_size, config->eos_ids);
  engine::ConstraintCompiler compiler([&] { return tokens; });
  if (format != nullptr) {
    measure(compiler, *tokens, {"given", format}, count);
  } else {
    for (const Named& constraint : kConstraints) measure(compiler, *tokens, constraint, count);
  }
  return 0;
}

}  // namespace
}  // namespace bundle

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: constraint_bench MODEL [TOKENS [FORMAT]]\n");
    return 2;
  }
  return bundle::run(argv[1], argc > 2 ? std::atoi(argv[2]) : 300, argc > 3 ? argv[3] : nullptr);
}
