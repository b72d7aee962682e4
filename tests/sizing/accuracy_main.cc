// sizing_accuracy [--calibrate] [--rows]: how far the model is from published measurements, as
// Markdown; --calibrate fits the constants of runtime/sizing/efficiency.h on the calibration half
// and prints them; --rows prints every row.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/sizing/calibration.h"
#include "tests/sizing/measured.h"

namespace bundle::sizing {
namespace {

using Groups = std::map<std::string, std::vector<double>>;

void print_groups(const char* title, const Groups& groups) {
  std::printf(
      "\n| %s | rows | median error | 90th percentile | bias |\n|---|---:|---:|---:|---:|\n",
      title);
  for (const auto& [name, errors] : groups) {
    const Quantiles found = quantiles(errors);
    std::printf("| %s | %d | %.1f %% | %.1f %% | %+.1f %% |\n", name.c_str(), found.count,
                100 * found.median, 100 * found.p90, 100 * found.bias);
  }
}

void print_row(const Question& question, const Efficiency& efficiency) {
  const Measured& row = *question.row;
  std::printf("%-18s %-12s %2s %-8s %-8s %6s/%-6s %5s %-12s %-26s %10.2f %10.2f %+6.1f %%\n",
              row.at("model").c_str(), row.at("gpu").c_str(), row.at("count").c_str(),
              row.at("dtype").c_str(), layout_text(question.layout).c_str(), row.at("isl").c_str(),
              row.at("osl").c_str(), row.at("concurrency").c_str(), row.engine.c_str(),
              row.at("metric").c_str(), row.value, predict(question, efficiency),
              100 * relative_error(question, efficiency));
}

void print_report(const std::vector<Question>& questions, const Efficiency& efficiency,
                  bool calibrates, bool rows) {
  Groups kinds, metrics, models, gpus, engines;
  int right = 0;
  int asked = 0;
  for (const Question& question : questions) {
    if (question.row->calibrates != calibrates) continue;
    if (rows) print_row(question, efficiency);
    const std::string kind = kind_of(*question.row);
    const double error = relative_error(question, efficiency);
    if (kind == "fits") {
      ++asked;
      right += predict(question, efficiency) == question.row->value ? 1 : 0;
      continue;
    }
    kinds[kind].push_back(error);
    metrics[question.row->at("metric")].push_back(error);
    models[kind + ", " + question.row->at("model")].push_back(error);
    gpus[kind + ", " + question.row->at("gpu")].push_back(error);
    engines[kind + ", " + question.row->engine].push_back(error);
  }
  print_groups("kind", kinds);
  print_groups("metric", metrics);
  print_groups("model", models);
  print_groups("GPU", gpus);
  print_groups("engine", engines);
  std::printf("\n`fits`: %d of %d right.\n", right, asked);
}

int run(bool calibrate_first, bool rows) {
  const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  const auto measured = read_measured();
  std::map<std::string, int> left_out;
  auto questions = questions_of(measured, catalog, left_out);
  Efficiency efficiency;
  if (calibrate_first) efficiency = calibrate(questions);
  std::printf("## The half that checks\n");
  print_report(questions, efficiency, false, rows);
  std::printf("\n## The half that was calibrated on\n");
  print_report(questions, efficiency, true, rows);
  std::printf("\nLeft out:\n\n");
  for (const auto& [reason, count] : left_out) std::printf("- %d: %s\n", count, reason.c_str());
  return 0;
}

}  // namespace
}  // namespace bundle::sizing

int main(int argc, char** argv) {
  bool calibrate = false;
  bool rows = false;
  for (int i = 1; i < argc; ++i) {
    calibrate |= std::strcmp(argv[i], "--calibrate") == 0;
    rows |= std::strcmp(argv[i], "--rows") == 0;
  }
  return bundle::sizing::run(calibrate, rows);
}
