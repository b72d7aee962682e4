// bundle size: which hardware a model needs, how fast it is there, and what it costs.
#include <memory>

#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/display/sizing.h"
#include "cli/display/sizing_chart.h"
#include "cli/resources_section.h"
#include "cli/size_document.h"
#include "cli/size_here.h"

namespace bundle::cli {
namespace {

struct SizeArguments {
  std::string reference;
  SizeOptions options;
  std::vector<std::pair<std::string, std::string>> settings;  // as given, in order
  std::vector<std::string> variations;
  bool explain = false;
  std::size_t plans = 12;
  std::string chart;
  std::string write;
  bool here = false;
  int threads = 0;
};

/// "gpu=h100 concurrency=64" on top of what was asked.
Result<SizeOptions> varied(SizeOptions options, const std::string& variation) {
  std::size_t from = 0;
  while (from < variation.size()) {
    const std::size_t blank = std::min(variation.find(' ', from), variation.size());
    const std::string word = variation.substr(from, blank - from);
    from = blank + 1;
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Error{ErrorCode::kUsage, "'" + word + "' is no OPTION=VALUE", "--what-if",
                   "For example --what-if 'gpu=h100 concurrency=64'."};
    }
    BUNDLE_CHECK(set_size_option(options, word.substr(0, equals), word.substr(equals + 1)));
  }
  return options;
}

Status add_variations(const SizeArguments& arguments, const SizeInput& input,
                      const catalog::Catalog& catalog, const SizeRun& run, Outcome& outcome) {
  JsonArray list;
  for (const std::string& variation : arguments.variations) {
    BUNDLE_TRY(const SizeOptions options, varied(arguments.options, variation));
    SizeRun other;
    BUNDLE_CHECK(run_size(input, options, catalog, other));
    outcome.text += what_if_text(run, other, variation);
    JsonObject document = size_document(input, other, 1).as_object();
    document["what_if"] = variation;
    list.emplace_back(std::move(document));
  }
  if (!list.empty()) outcome.document.as_object()["what_if"] = std::move(list);
  return {};
}

Status write_results(const SizeArguments& arguments, const SizeRun& run, Outcome& outcome) {
  if (!arguments.chart.empty()) {
    BUNDLE_CHECK(write_file_atomic(arguments.chart, sizing_chart(run)));
    outcome.text += "\nThe chart is in " + arguments.chart + ".\n";
  }
  if (arguments.write.empty()) return {};
  if (run.answer.plans.empty()) {
    return failed("there is no answer to write", arguments.write, "Loosen an objective.");
  }
  BUNDLE_CHECK(write_resources(arguments.write, plan_resources(run, run.answer.plans.front())));
  outcome.text += "\nThe resources are in " + arguments.write + ".\n";
  const std::int64_t copies = run.answer.plans.front().copies;
  if (copies > 1) {
    outcome.text += "They are those of one copy; deploy " + std::to_string(copies) +
                    " of them (replicas: " + std::to_string(copies) + ").\n";
  }
  return {};
}

/// Options that have no meaning beside --here, and would silently do nothing.
Status check_here(const SizeArguments& arguments) {
  const bool plans = !arguments.chart.empty() || !arguments.write.empty() || arguments.explain ||
                     !arguments.variations.empty();
  if (!arguments.here || !plans) return {};
  return Error{ErrorCode::kUsage,
               "--chart, --write, --explain and --what-if are of plans, and --here makes none",
               "--here", "Leave one of them out."};
}

/// Told before anything is counted: a chart under another ending would open nowhere.
Status check_chart(const std::string& file) {
  if (file.empty() || file.ends_with(".svg")) return {};
  return Error{ErrorCode::kUsage, "a chart is an SVG", "--chart " + file,
               "Name it FILE.svg; browsers show it, and rsvg-convert makes a PNG of it."};
}

Result<Outcome> size(SizeArguments arguments) {
  BUNDLE_CHECK(check_chart(arguments.chart));
  BUNDLE_CHECK(check_here(arguments));
  for (const auto& [name, text] : arguments.settings) {
    BUNDLE_CHECK(set_size_option(arguments.options, name, text));
  }
  if (arguments.here) {
    return size_here(arguments.reference, arguments.options, arguments.threads);
  }
  BUNDLE_TRY(const catalog::Catalog catalog, catalog::Catalog::open());
  BUNDLE_TRY(const SizeInput input, size_input(arguments.reference, catalog));
  SizeRun run;
  BUNDLE_CHECK(run_size(input, arguments.options, catalog, run));
  Outcome outcome;
  outcome.document = size_document(input, run, arguments.plans);
  outcome.text = size_text(input, run, arguments.plans);
  if (arguments.explain && !run.answer.plans.empty()) {
    outcome.text += explain_text(run, run.answer.plans.front());
  }
  BUNDLE_CHECK(add_variations(arguments, input, catalog, run, outcome));
  outcome.exit_code = run.answer.plans.empty() ? static_cast<int>(ErrorCode::kFailed) : 0;
  BUNDLE_CHECK(write_results(arguments, run, outcome));
  return outcome;
}

void add_options(CLI::App* command, const std::shared_ptr<SizeArguments>& arguments) {
  for (const SizeOption& option : size_options()) {
    const std::string name(option.name);
    command
        ->add_option_function<std::string>(
            "--" + name,
            [arguments, name](const std::string& text) {
              arguments->settings.emplace_back(name, text);
            },
            std::string(option.about))
        ->type_name(std::string(option.value));
  }
  command->add_flag("--spot", arguments->options.spot, "Prices of machines that may be taken away");
  command->add_flag("--any-vendor", arguments->options.any_vendor,
                    "Also GPUs and formats that the runtime does not serve");
  command->add_flag("--explain", arguments->explain, "Show the sums behind the best answer");
  command->add_flag("--here", arguments->here,
                    "Measure this machine: does it fit, how fast on its CPU and GPUs");
  command->add_option("--threads", arguments->threads, "Of --here; 0: one a physical core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command
      ->add_option("--what-if", arguments->variations,
                   "The same with other options, beside it: 'gpu=h100 concurrency=64'")
      ->allow_extra_args(false);
  command->add_option("--plans", arguments->plans, "Most answers to show")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--chart", arguments->chart,
                      "Write an SVG: memory, and cost against latency");
  command->add_option("--write", arguments->write,
                      "Put the answer into this bundle.yaml's resources");
}

}  // namespace

void add_size(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SizeArguments>();
  CLI::App* command = add_command(
      app, "size", "Say which GPUs a model needs, how fast it is there, and what it costs",
      "MODEL is a name of the catalogue, a bundle, a model folder, a .gguf, or a config.json.\n"
      "The cheapest answer that meets every objective comes first. How it counts, and how far it\n"
      "is from measurements: docs/sizing.md.\n\n"
      "Examples:\n"
      "  bundle size deepseek-r1\n"
      "  bundle size ./my-model --concurrency 64 --context 32k --ttft 1s --cloud aws,gcp\n"
      "  bundle size deepseek-r1-distill-llama-70b --inventory inventory.yaml\n"
      "  bundle size llama-3.1-8b --gpu l4 --explain --what-if 'gpu=a10g kv-type=fp8'");
  command->add_option("MODEL", arguments->reference, "What is to be served")->required();
  add_options(command, arguments);
  on_run(command, session, [arguments] { return size(*arguments); });
}

}  // namespace bundle::cli
