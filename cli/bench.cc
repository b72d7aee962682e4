// bundle bench: how fast a model runs here, beside what the memory allows.
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/bench_run.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "cli/open_model.h"

namespace bundle::cli {
namespace {

std::string number(const Json& document, const char* key) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", document.at(key).to_number<double>());
  return text;
}

std::string bench_text(const Json& document) {
  char share[64];
  std::snprintf(share, sizeof share, "%.0f %% of the memory bandwidth's %.1f",
                100 * document.at("decode_share_of_bound").to_number<double>(),
                document.at("decode_bound_tok_s").to_number<double>());
  return table({"WHAT", "TOKENS/S", ""},
               {{"prefill", number(document, "prefill_tok_s"), ""},
                {"decode", number(document, "decode_tok_s"), share},
                {"streams", number(document, "streams_tok_s"),
                 std::to_string(document.at("streams").as_int64()) + " at once, together"}}) +
         "device " + std::string(document.at("device").as_string()) + ", " +
         std::to_string(document.at("threads").as_int64()) + " threads, memory reads " +
         number(document, "memory_bandwidth_gb_s") + " GB/s, loaded in " +
         number(document, "load_ms") + " ms\n";
}

Result<Outcome> bench(const std::string& reference, const BenchOptions& options,
                      const Session& session) {
  BUNDLE_TRY(const format::ModelSource source, model_source(reference));
  BUNDLE_TRY(Json document, run_bench(source, options, session.progress()));
  std::string text = bench_text(document);
  return Outcome{std::move(document), std::move(text)};
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  auto reference = std::make_shared<std::string>();
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = add_command(
      app, "bench", "Measure prefill, decode and concurrent streams here",
      "Runs the model in this process, with fixed prompts and no prefix reuse. Rates are medians;\n"
      "the memory bandwidth is measured in the same run, since it bounds every decode.\n\n"
      "Example:\n  bundle bench smollm2 --threads 2 --prompt-tokens 512 --output-tokens 128");
  command->add_option("REF", *reference, "A bundle, model folder or .gguf file")->required();
  command->add_option("--threads", options->threads, "0: one a physical core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command->add_option("--prompt-tokens", options->prompt_tokens, "Of the prefill")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--output-tokens", options->output_tokens, "Of decode and streams")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--streams", options->streams, "Concurrent requests")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_option("--repetitions", options->repetitions, "Medians are over so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--backend", options->backend, "cpu or cpu-reference")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cpu-reference"}));
  command->add_option("--kv-type", options->kv_type, "Precision of the cache")
      ->capture_default_str()
      ->check(CLI::IsMember({"f16", "bf16", "f32", "fp8", "int8"}));
  on_run(command, session,
         [reference, options, &session] { return bench(*reference, *options, session); });
}

}  // namespace bundle::cli
