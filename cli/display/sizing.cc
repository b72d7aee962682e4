#include "cli/display/sizing.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/display/table.h"
#include "cli/size_document.h"
#include "runtime/sizing/parameters.h"

namespace bundle::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

double gib(std::uint64_t bytes) { return static_cast<double>(bytes) / kGiB; }

std::string tokens_text(double tokens) {
  if (tokens >= 10e6) return fmt::format("{:.1f}M", tokens / 1e6);
  if (tokens >= 10e3) return fmt::format("{:.0f}k", tokens / 1e3);
  return fmt::format("{:.0f}", tokens);
}

std::string price_text(const sizing::Plan& plan) {
  return plan.usd_per_hour ? fmt::format("{:.2f}", *plan.usd_per_hour) : "?";
}

std::string machine_text(const sizing::Plan& plan) {
  if (plan.machine == nullptr) return "";
  std::string text = plan.machine->provider + " " + plan.machine->type;
  if (plan.machines > 1) text = std::to_string(plan.machines) + "x " + text;
  return text;
}

std::string model_line(const SizeInput& input) {
  const sizing::ModelShape& shape = input.model.shape;
  std::string text = shape.name + ": ";
  if (const auto parameters = sizing::count_parameters(shape.config)) {
    text += fmt::format("{:.2f} B parameters", static_cast<double>(parameters->total) / 1e9);
    if (parameters->active != parameters->total) {
      text += fmt::format(" ({:.2f} B active)", static_cast<double>(parameters->active) / 1e9);
    }
  }
  return text + fmt::format(", {}, {:.2f} GiB, cache {:.1f} KiB a token (from the {})\n",
                            shape.format.name, gib(sizing::total_bytes(input.model.parts, true)),
                            static_cast<double>(sizing::rank_kv_bytes(shape, sizing::Layout{},
                                                                      sizing::KvType{}, 1)) /
                                1024,
                            input.source);
}

std::string question_line(const sizing::Objectives& objectives) {
  const sizing::Load& load = objectives.load;
  std::string text = load.concurrency > 0 ? fmt::format("{:g} users", load.concurrency)
                     : load.rate > 0      ? fmt::format("{:g} requests/s", load.rate)
                                          : std::string("as many users as fit");
  text += fmt::format(", {:.0f} tokens in, {:.0f} out, contexts to {}", load.input_tokens,
                      load.output_tokens, objectives.context);
  if (objectives.tpot) text += fmt::format(", {:g} ms a token", *objectives.tpot * 1e3);
  if (objectives.ttft) text += fmt::format(", first within {:g} ms", *objectives.ttft * 1e3);
  if (objectives.throughput) text += fmt::format(", {:g} tokens/s", *objectives.throughput);
  if (objectives.budget) text += fmt::format(", {:g} USD/h", *objectives.budget);
  return text + "\n";
}

std::string best_text(const SizeRun& run, const sizing::Plan& plan) {
  const sizing::RankMemory& memory = plan.memory;
  const sizing::Served& served = plan.served;
  const auto copies = static_cast<double>(plan.copies);
  std::string text = "\n  " + sizing::plan_text(*plan.gpu, plan.layout, plan.copies);
  text += fmt::format(", {} USD/h", price_text(plan));
  if (plan.machine != nullptr) {
    text += " (" + machine_text(plan);
    if (!plan.machine->price_date.empty()) text += ", price of " + plan.machine->price_date;
    text += ")";
  }
  text += fmt::format(
      "\n  a GPU      {:.1f} GiB weights + {:.1f} activations + {:.1f} other, {:.1f} for the "
      "cache, "
      "of {:.1f} GiB{}\n",
      gib(memory.weights), gib(memory.activations),
      gib(memory.graphs + memory.context + memory.exchange),
      static_cast<double>(memory.left) / kGiB, gib(memory.usable),
      plan.gpu->usable_estimated ? " (estimated)" : "");
  text += fmt::format("  cache      {} tokens in {}: {:.0f} contexts of {}\n",
                      tokens_text(static_cast<double>(plan.kv_tokens) * copies), plan.kv.name,
                      std::floor(static_cast<double>(plan.kv_tokens) /
                                 static_cast<double>(run.objectives.context)) *
                          copies,
                      run.objectives.context);
  text += fmt::format(
      "  speed      {:.1f} ms a token (likely {:.1f} to {:.1f}; never under {:.1f}), first after "
      "{:.0f} ms\n",
      served.tpot * 1e3, sizing::likely_tpot(served) * 1e3,
      served.tpot * 1e3 * sizing::kErrorFactor, served.tpot_bound * 1e3, served.ttft * 1e3);
  text += fmt::format(
      "             {:.0f} tokens/s for a user, {:.0f} for all; {:.0f} users at most at these "
      "lengths\n",
      1 / served.tpot, plan.tokens_s, std::floor(served.most_active * copies));
  return text;
}

std::vector<std::string> plan_row(const sizing::Plan& plan, bool formats) {
  std::vector<std::string> row{fmt::format("{}x {}", plan.gpus(), plan.gpu->name),
                               sizing::layout_text(plan.layout),
                               std::to_string(plan.copies),
                               fmt::format("{:.1f}", gib(plan.memory.weights)),
                               tokens_text(static_cast<double>(plan.kv_tokens * plan.copies)),
                               fmt::format("{:.1f}", plan.served.tpot * 1e3),
                               fmt::format("{:.0f}", plan.served.ttft * 1e3),
                               fmt::format("{:.0f}", plan.tokens_s),
                               price_text(plan),
                               machine_text(plan)};
  if (formats) row.insert(row.begin() + 2, plan.format + "/" + std::string(plan.kv.name));
  return row;
}

/// The best plan of each GPU and format first, so that a table shows choices and not variations.
std::vector<const sizing::Plan*> shown_plans(const SizeRun& run, std::size_t most) {
  std::vector<const sizing::Plan*> shown;
  for (const sizing::Plan& plan : run.answer.plans) {
    const bool again = std::any_of(shown.begin(), shown.end(), [&](const sizing::Plan* other) {
      return other->gpu == plan.gpu && other->format == plan.format &&
             other->kv.name == plan.kv.name;
    });
    if (!again && shown.size() < most) shown.push_back(&plan);
  }
  return shown;
}

std::string plans_table(const SizeRun& run, std::size_t most) {
  const bool formats = run.models.size() > 1 || run.objectives.kv_types.size() > 1;
  std::vector<std::string> header{"GPUS",     "LAYOUT",   "COPIES",   "WEIGHTS GIB", "CACHE TOKENS",
                                  "MS/TOKEN", "FIRST MS", "TOKENS/S", "USD/H",       "MACHINE"};
  if (formats) header.insert(header.begin() + 2, "FORMAT");
  std::vector<std::vector<std::string>> rows;
  for (const sizing::Plan* plan : shown_plans(run, most)) rows.push_back(plan_row(*plan, formats));
  return "\n" + table(header, rows);
}

std::string refusals_text(const SizeRun& run) {
  std::vector<std::vector<std::string>> rows;
  for (const sizing::Refusal* refusal : main_refusals(run)) {
    const bool whole = refusal->kind == sizing::Refusal::Kind::kUnsupported;
    rows.push_back({whole ? refusal->gpu->name
                          : fmt::format("{}x {} {}", refusal->layout.gpus(), refusal->gpu->name,
                                        sizing::layout_text(refusal->layout)),
                    refusal->reason});
  }
  return rows.empty() ? "" : "\n" + table({"REFUSED", "WHY"}, rows);
}

const char* role_name(sizing::Role role) {
  switch (role) {
    case sizing::Role::kEmbedding:
      return "embedding";
    case sizing::Role::kHead:
      return "output matrix";
    case sizing::Role::kNorm:
      return "norms";
    case sizing::Role::kQuery:
      return "attention: queries";
    case sizing::Role::kKeyValue:
      return "attention: keys and values";
    case sizing::Role::kLatentDown:
      return "attention: down to the latent";
    case sizing::Role::kLatentUp:
      return "attention: up from the latent";
    case sizing::Role::kAttentionOutput:
      return "attention: output";
    case sizing::Role::kMlp:
      return "dense MLPs";
    case sizing::Role::kSharedExpert:
      return "shared experts";
    case sizing::Role::kRouter:
      return "routers";
    case sizing::Role::kExpert:
      return "experts";
  }
  return "";
}

std::string weights_sum(const SizeRun& run, const sizing::Plan& plan) {
  const sizing::SizedModel& model = model_of(run, plan);
  std::map<sizing::Role, std::vector<sizing::WeightPart>> roles;
  std::uint64_t prediction = 0;
  for (const sizing::WeightPart& part : model.parts) {
    if (part.prediction) {
      prediction += part.bytes;
    } else {
      roles[part.role].push_back(part);
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [role, parts] : roles) {
    rows.push_back(
        {role_name(role), fmt::format("{:.3f}", gib(sizing::total_bytes(parts, false))),
         fmt::format("{:.3f}", gib(sizing::rank_bytes(parts, model.shape, plan.layout)))});
  }
  rows.push_back({"sum", fmt::format("{:.3f}", gib(sizing::total_bytes(model.parts, false))),
                  fmt::format("{:.3f}", gib(plan.memory.weights))});
  if (prediction > 0) {
    rows.push_back({"prediction layers, not loaded", fmt::format("{:.3f}", gib(prediction)), ""});
  }
  return table({"WEIGHTS", "GIB", "GIB A GPU"}, rows);
}

std::string memory_sum(const SizeRun& run, const sizing::Plan& plan) {
  const sizing::RankMemory& memory = plan.memory;
  const auto row = [](const char* name, double value, const std::string& why) {
    return std::vector<std::string>{name, fmt::format("{:+.2f}", value), why};
  };
  const std::uint64_t each = sizing::rank_kv_bytes(model_of(run, plan).shape, plan.layout, plan.kv,
                                                   run.objectives.context) /
                             static_cast<std::uint64_t>(run.objectives.context);
  return table(
      {"MEMORY OF A GPU", "GIB", ""},
      {row("usable", gib(memory.usable), plan.gpu->usable_estimated ? "estimated" : "as reported"),
       row("kept free", -gib(memory.usable - memory.budget), "10 % of it"),
       row("weights", -gib(memory.weights),
           fmt::format("{:.2f} of them on every GPU alike", gib(memory.replicated))),
       row("activations", -gib(memory.activations), "of steps of 8192 tokens, and sampling"),
       row("graphs", -gib(memory.graphs), "captured CUDA graphs"),
       row("context", -gib(memory.context), "CUDA and its libraries"),
       row("exchange", -gib(memory.exchange), "buffers of collectives"),
       row("cache", static_cast<double>(memory.left) / kGiB,
           fmt::format("{} bytes a token and GPU, {} groups: {} tokens", each, plan.layout.dp,
                       plan.kv_tokens))});
}

std::string time_sum(const sizing::Plan& plan) {
  const sizing::StepTime& time = plan.served.decode;
  const auto row = [](const char* name, double seconds) {
    return std::vector<std::string>{name, fmt::format("{:.3f}", seconds * 1e3)};
  };
  return table(
      {fmt::format("DECODE STEP OF {:.0f} SEQUENCES", plan.served.active), "MS"},
      {row("attention's weights", time.attention_weights), row("MLPs", time.mlp),
       row("experts", time.experts), row("output matrix", time.head), row("cache", time.cache),
       row("small kernels", time.elementwise), row("collectives", time.collectives),
       row("between kernels", time.between), row("sum", time.total()),
       row("prompts of the others between", plan.served.tpot - time.total()),
       row("a token", plan.served.tpot), row("physical bound", plan.served.tpot_bound)});
}

std::vector<std::string> what_if_row(const std::string& name, const SizeRun& run) {
  if (run.answer.plans.empty()) return {name, unmet_text(run), "", "", "", ""};
  const sizing::Plan& plan = run.answer.plans.front();
  return {name,
          sizing::plan_text(*plan.gpu, plan.layout, plan.copies),
          fmt::format("{:.1f}", plan.served.tpot * 1e3),
          fmt::format("{:.0f}", plan.served.ttft * 1e3),
          fmt::format("{:.0f}", plan.tokens_s),
          price_text(plan)};
}

}  // namespace

std::string explain_text(const SizeRun& run, const sizing::Plan& plan) {
  return "\n" + weights_sum(run, plan) + "\n" + memory_sum(run, plan) + "\n" + time_sum(plan);
}

std::string what_if_text(const SizeRun& before, const SizeRun& after, const std::string& name) {
  return "\n" + table({"WHAT IF", "BEST", "MS/TOKEN", "FIRST MS", "TOKENS/S", "USD/H"},
                      {what_if_row("as asked", before), what_if_row(name, after)});
}

std::string size_text(const SizeInput& input, const SizeRun& run, std::size_t plans) {
  std::string text = model_line(input) + question_line(run.objectives);
  if (run.answer.plans.empty()) {
    text += "\nNothing meets the objectives: " + unmet_text(run) + "\n";
  } else {
    text += best_text(run, run.answer.plans.front()) + plans_table(run, plans);
  }
  return text + refusals_text(run);
}

}  // namespace bundle::cli
