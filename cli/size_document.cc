#include "cli/size_document.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>

#include "runtime/sizing/parameters.h"

namespace bundle::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

double gib(double bytes) { return rounded(bytes / kGiB, 2); }
double gib(std::uint64_t bytes) { return gib(static_cast<double>(bytes)); }
double milliseconds(double seconds) { return rounded(seconds * 1e3, 3); }

Json stored_types(const sizing::SizedModel& model) {
  JsonObject types;
  for (const auto& [type, total] : sizing::totals_by_type(model.parts)) {
    types[type] = JsonObject{{"elements", total.elements}, {"bytes", total.bytes}};
  }
  return types;
}

Json model_document(const SizeInput& input) {
  const sizing::ModelShape& shape = input.model.shape;
  JsonObject model{{"name", shape.name},
                   {"source", input.source},
                   {"architecture", shape.config.architecture},
                   {"layers", shape.config.num_layers},
                   {"context_length", input.context_length},
                   {"format", shape.format.name}};
  if (const auto parameters = sizing::count_parameters(shape.config)) {
    model["parameters"] = parameters->total;
    model["active_parameters"] = parameters->active;
  }
  model["checkpoint_bytes"] = sizing::total_bytes(input.model.parts, true);
  model["served_bytes"] = sizing::total_bytes(input.model.parts, false);
  model["stored"] = stored_types(input.model);
  model["kv_bytes_per_token_16bit"] =
      sizing::rank_kv_bytes(shape, sizing::Layout{}, sizing::KvType{}, 1);
  return model;
}

Json optional_number(const std::optional<double>& value, double factor = 1) {
  return value ? Json(rounded(*value * factor, 3)) : Json(nullptr);
}

Json question_document(const sizing::Objectives& objectives) {
  return JsonObject{{"concurrency", objectives.load.concurrency},
                    {"rate", objectives.load.rate},
                    {"input_tokens", objectives.load.input_tokens},
                    {"output_tokens", objectives.load.output_tokens},
                    {"context", objectives.context},
                    {"tpot_ms", optional_number(objectives.tpot, 1e3)},
                    {"ttft_ms", optional_number(objectives.ttft, 1e3)},
                    {"throughput", optional_number(objectives.throughput)},
                    {"budget_usd_per_hour", optional_number(objectives.budget)},
                    {"spot", objectives.spot}};
}

Json memory_document(const sizing::RankMemory& memory) {
  return JsonObject{{"usable_gib", gib(memory.usable)},
                    {"budget_gib", gib(memory.budget)},
                    {"weights_gib", gib(memory.weights)},
                    {"replicated_gib", gib(memory.replicated)},
                    {"activations_gib", gib(memory.activations)},
                    {"graphs_gib", gib(memory.graphs)},
                    {"context_gib", gib(memory.context)},
                    {"exchange_gib", gib(memory.exchange)},
                    {"kv_gib", gib(static_cast<double>(memory.left))}};
}

Json decode_document(const sizing::StepTime& time) {
  return JsonObject{{"attention_weights", milliseconds(time.attention_weights)},
                    {"mlp", milliseconds(time.mlp)},
                    {"experts", milliseconds(time.experts)},
                    {"head", milliseconds(time.head)},
                    {"cache", milliseconds(time.cache)},
                    {"elementwise", milliseconds(time.elementwise)},
                    {"collectives", milliseconds(time.collectives)},
                    {"between_kernels", milliseconds(time.between)}};
}

Json speed_document(const sizing::Plan& plan) {
  const sizing::Served& served = plan.served;
  const auto copies = static_cast<double>(plan.copies);
  return JsonObject{{"tpot_ms", milliseconds(served.tpot)},
                    {"tpot_low_ms", milliseconds(sizing::likely_tpot(served))},
                    {"tpot_high_ms", milliseconds(served.tpot * sizing::kErrorFactor)},
                    {"tpot_bound_ms", milliseconds(served.tpot_bound)},
                    {"ttft_ms", milliseconds(served.ttft)},
                    {"wait_ms", milliseconds(served.wait)},
                    {"tokens_s", rounded(plan.tokens_s, 1)},
                    {"tokens_s_per_user", rounded(1 / served.tpot, 1)},
                    {"tokens_s_bound", rounded(served.tokens_s_bound * copies, 1)},
                    {"prompt_tokens_s", rounded(served.prompt_tokens_s * copies, 1)},
                    {"max_concurrency", std::floor(served.most_active * copies)},
                    {"decode_ms", decode_document(served.decode)}};
}

Json price_document(const sizing::Plan& plan) {
  if (plan.machine == nullptr) return nullptr;
  JsonObject price{{"provider", plan.machine->provider},
                   {"machine", plan.machine->type},
                   {"machines", plan.machines},
                   {"region", plan.machine->region},
                   {"as_of", plan.machine->price_date},
                   {"usd_per_hour", optional_number(plan.usd_per_hour)},
                   {"usd_per_million_output_tokens", nullptr}};
  if (plan.usd_per_hour && plan.tokens_s > 0) {
    price["usd_per_million_output_tokens"] =
        rounded(*plan.usd_per_hour / (plan.tokens_s * 3600) * 1e6, 3);
  }
  return price;
}

/// Machines that one copy spans.
std::int64_t nodes_of(const sizing::Plan& plan) {
  const std::int64_t each =
      plan.machine != nullptr ? plan.machine->gpu_count : plan.gpu->most_per_node;
  return (plan.layout.gpus() + each - 1) / each;
}

Json plan_document(const SizeRun& run, const sizing::Plan& plan) {
  const auto context = static_cast<double>(run.objectives.context);
  return JsonObject{{"gpu", plan.gpu->id},
                    {"gpu_name", plan.gpu->name},
                    {"gpus", plan.gpus()},
                    {"copies", plan.copies},
                    {"nodes_per_copy", nodes_of(plan)},
                    {"layout",
                     {{"tp", plan.layout.tp},
                      {"pp", plan.layout.pp},
                      {"ep", plan.layout.ep},
                      {"dp", plan.layout.dp},
                      {"text", sizing::layout_text(plan.layout)}}},
                    {"format", plan.format},
                    {"kv_type", plan.kv.name},
                    {"memory_per_gpu", memory_document(plan.memory)},
                    {"memory_estimated", plan.gpu->usable_estimated},
                    {"kv_tokens", plan.kv_tokens * plan.copies},
                    {"full_contexts", std::floor(static_cast<double>(plan.kv_tokens) / context) *
                                          static_cast<double>(plan.copies)},
                    {"speed", speed_document(plan)},
                    {"price", price_document(plan)},
                    {"resources", plan_resources(run, plan)}};
}

const char* kind_name(sizing::Refusal::Kind kind) {
  switch (kind) {
    case sizing::Refusal::Kind::kUnsupported:
      return "unsupported";
    case sizing::Refusal::Kind::kMemory:
      return "memory";
    case sizing::Refusal::Kind::kObjective:
      return "objective";
    case sizing::Refusal::Kind::kNoMachine:
      return "no_machine";
  }
  return "";
}

Json refusal_document(const sizing::Refusal& refusal) {
  return JsonObject{{"gpu", refusal.gpu->id},
                    {"gpu_name", refusal.gpu->name},
                    {"gpus", refusal.layout.gpus()},
                    {"layout", sizing::layout_text(refusal.layout)},
                    {"format", refusal.format},
                    {"kind", kind_name(refusal.kind)},
                    {"missing_gib", gib(static_cast<double>(refusal.missing))},
                    {"reason", refusal.reason}};
}

JsonArray unmet_document(const sizing::Answer& answer) {
  JsonArray list;
  for (const sizing::Unmet& unmet : answer.unmet) {
    list.push_back(JsonObject{{"objective", unmet.objective},
                              {"asked", unmet.asked},
                              {"best", unmet.best},
                              {"by", unmet.by}});
  }
  return list;
}

JsonArray pareto_document(const SizeRun& run) {
  JsonArray list;
  for (const sizing::Plan* plan : sizing::pareto_front(run.answer.plans)) {
    list.push_back(
        JsonObject{{"plan", sizing::plan_text(*plan->gpu, plan->layout, plan->copies)},
                   {"format", plan->format},
                   {"usd_per_hour", rounded(*plan->usd_per_hour, 3)},
                   {"tpot_ms", milliseconds(plan->served.tpot)},
                   {"ttft_ms", milliseconds(plan->served.ttft)},
                   {"tokens_s", rounded(plan->tokens_s, 1)},
                   {"machine", plan->machine == nullptr
                                   ? Json(nullptr)
                                   : Json(plan->machine->provider + " " + plan->machine->type)}});
  }
  return list;
}

std::string unmet_line(const sizing::Unmet& unmet) {
  const double asked = unmet.asked;
  const double best = unmet.best;
  if (unmet.objective == "tpot" || unmet.objective == "ttft") {
    return fmt::format("--{} {:g} ms: the nearest is {:.1f} ms, {:.1f} times as long ({})",
                       unmet.objective, asked * 1e3, best * 1e3, best / asked, unmet.by);
  }
  if (unmet.objective == "memory") {
    return fmt::format("memory: the nearest lacks {:.1f} GiB a GPU, {:.0f} % ({})", best - asked,
                       100 * (best - asked) / std::max(asked, 1e-9), unmet.by);
  }
  if (unmet.objective == "machines") {
    return best <= 0 ? fmt::format("machines: none is offered as asked ({})", unmet.by)
                     : fmt::format("machines: {:g} GPUs are needed, {:g} are there ({})", asked,
                                   best, unmet.by);
  }
  if (unmet.objective == "budget") {
    if (std::isinf(best)) {
      return fmt::format("--budget {:g}: what else fits has no known price ({})", asked, unmet.by);
    }
    return fmt::format("--budget {:g} USD/h: the cheapest is {:.2f} USD/h, {:.2f} more ({})", asked,
                       best, best - asked, unmet.by);
  }
  return fmt::format("--{} {:g}: the most is {:.1f}, {:.0f} % of it ({})", unmet.objective, asked,
                     best, 100 * best / asked, unmet.by);
}

}  // namespace

double rounded(double value, int decimals) {
  const double parts = std::pow(10, decimals);
  return std::round(value * parts) / parts;
}

JsonObject plan_resources(const SizeRun& run, const sizing::Plan& plan) {
  const sizing::SizedModel& model = model_of(run, plan);
  const std::uint64_t bytes = sizing::total_bytes(model.parts, true);
  const auto whole_gib = [](double value) {
    return std::to_string(static_cast<std::int64_t>(std::ceil(value / kGiB))) + "Gi";
  };
  // The host holds what one GPU loads at a time, and the page cache of the weights if it can.
  const double host = std::max(static_cast<double>(bytes) * 0.25, 8 * kGiB);
  return JsonObject{{"gpu", plan.layout.gpus() / nodes_of(plan)},
                    {"gpu_type", plan.gpu->id},
                    {"nodes", nodes_of(plan)},
                    {"memory", whole_gib(host)},
                    {"disk", whole_gib(static_cast<double>(bytes) * 1.1)}};
}

std::vector<const sizing::Refusal*> main_refusals(const SizeRun& run) {
  std::set<const sizing::GpuSpec*> chosen;
  for (const sizing::Plan& plan : run.answer.plans) chosen.insert(plan.gpu);
  std::map<const sizing::GpuSpec*, const sizing::Refusal*> best;
  const auto rank = [](const sizing::Refusal& refusal) {
    const bool one_node = refusal.layout.gpus() <= refusal.gpu->most_per_node;
    return std::tuple(one_node, refusal.layout.gpus(), -refusal.missing);
  };
  for (const sizing::Refusal& refusal : run.answer.refusals) {
    const auto [at, fresh] = best.try_emplace(refusal.gpu, &refusal);
    if (!fresh && rank(refusal) > rank(*at->second)) at->second = &refusal;
  }
  std::vector<const sizing::Refusal*> list;
  for (const sizing::GpuSpec& gpu : run.gpus) {
    const auto at = best.find(&gpu);
    if (at == best.end()) continue;
    // A GPU that answers with more of them or on more nodes is refused on one node only.
    const bool memory = at->second->kind == sizing::Refusal::Kind::kMemory &&
                        at->second->layout.gpus() >= gpu.most_per_node;
    if (chosen.count(&gpu) == 0 || memory) list.push_back(at->second);
  }
  return list;
}

std::string unmet_text(const SizeRun& run) {
  if (!run.answer.plans.empty()) return "";
  std::string text;
  for (const sizing::Unmet& unmet : run.answer.unmet) {
    text += (text.empty() ? "" : "; ") + unmet_line(unmet);
  }
  if (!text.empty()) return text;
  return run.answer.refusals.empty() ? "no layout of the model divides over these GPUs"
                                     : run.answer.refusals.front().reason;
}

Json size_document(const SizeInput& input, const SizeRun& run, std::size_t plans) {
  JsonArray list;
  for (const sizing::Plan& plan : run.answer.plans) {
    if (list.size() < plans) list.push_back(plan_document(run, plan));
  }
  JsonArray refused;
  for (const sizing::Refusal* refusal : main_refusals(run)) {
    refused.push_back(refusal_document(*refusal));
  }
  JsonObject document{{"schema", "bundle-size/1"},
                      {"model", model_document(input)},
                      {"question", question_document(run.objectives)},
                      {"best", list.empty() ? Json(nullptr) : list.front()},
                      {"plans", std::move(list)},
                      {"pareto", pareto_document(run)},
                      {"refused", std::move(refused)},
                      {"unmet", unmet_document(run.answer)},
                      {"error_factor", sizing::kErrorFactor},
                      {"layouts_looked_at", run.answer.looked_at}};
  if (run.answer.plans.empty()) {
    document["error"] = JsonObject{{"code", code_name(ErrorCode::kFailed)},
                                   {"message", "nothing meets the objectives: " + unmet_text(run)},
                                   {"where", ""},
                                   {"remedy", "Loosen an objective, or allow --quantization any."}};
  }
  return document;
}

}  // namespace bundle::cli
