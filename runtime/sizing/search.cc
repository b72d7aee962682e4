#include "runtime/sizing/search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <set>

namespace bundle::sizing {
namespace {

constexpr double kLeastCapability = 8.0;  // BF16 products
constexpr double kFp8Capability = 8.9;
constexpr double kFp4Capability = 10.0;
/// The runtime carries code for these beside PTX of 8.0, which every newer GPU can run, but which
/// knows no FP8.
constexpr double kOwnCode[] = {8.0, 8.9, 9.0, 10.0};
constexpr std::int64_t kMostCopies = 4096;
constexpr std::int64_t kLargeNode = 8;  // GPUs of a machine whose network is built for models
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

/// Layouts of one copy that are worth a look on a GPU, of which machines hold `node_sizes`.
std::vector<Layout> layouts_on(const GpuSpec& gpu, const ModelShape& shape,
                               const Objectives& objectives,
                               const std::set<std::int64_t>& node_sizes) {
  if (objectives.layout) return {*objectives.layout};
  std::vector<Layout> layouts;
  const bool sparse = shape.config.moe.has_value();
  const std::int64_t in_node = std::min(gpu.most_per_node, gpu.link_domain);
  const auto add = [&](std::int64_t tp, std::int64_t pp) {
    layouts.push_back({tp, pp, sparse ? tp : 1, 1});
    if (tp > 1 && (sparse || shape.config.mla)) layouts.push_back({tp, pp, sparse ? tp : 1, tp});
  };
  for (std::int64_t tp = 1; tp <= in_node; tp *= 2) add(tp, 1);
  // Ranks of one layer leave a machine where a fast link does, or where experts are spread over
  // machines that are made for it; else whole layers are divided.
  const bool wide = gpu.link_domain > in_node || (sparse && in_node >= kLargeNode);
  for (std::int64_t nodes = 2; nodes <= objectives.most_nodes; nodes *= 2) {
    add(in_node, nodes);
    if (wide) add(in_node * nodes, 1);
    for (const std::int64_t size : node_sizes) {
      if (size < in_node && std::has_single_bit(static_cast<std::uint64_t>(size))) add(size, nodes);
    }
  }
  return layouts;
}

/// Machines of one kind that hold `copies` copies, 0 when they cannot. A copy that spans machines
/// has whole ones, and its tensor-parallel ranks leave a machine only where a layout is made for
/// that: on as many GPUs as a node can have.
std::int64_t machines_for(const MachineSpec& machine, const GpuSpec& gpu, const Layout& layout,
                          std::int64_t copies) {
  const std::int64_t each = layout.gpus();
  std::int64_t count = 0;
  if (each <= machine.gpu_count) {
    const std::int64_t together = machine.gpu_count / each;
    count = (copies + together - 1) / together;
  } else {
    const bool whole_stages = machine.gpu_count % layout.tp == 0;
    const bool whole_nodes =
        machine.gpu_count == gpu.most_per_node && layout.tp % machine.gpu_count == 0;
    if ((!whole_stages && !whole_nodes) || each % machine.gpu_count != 0) return 0;
    count = each / machine.gpu_count * copies;
  }
  return machine.machines > 0 && count > machine.machines ? 0 : count;
}

double inf() { return std::numeric_limits<double>::infinity(); }

/// Remembers how near each objective was met.
class Nearest {
 public:
  void note(const std::string& objective, double asked, double value, bool less_is_better,
            const std::string& by) {
    auto [at, fresh] = best_.try_emplace(objective, Unmet{objective, asked, value, by});
    if (fresh) return;
    const bool better = less_is_better ? value < at->second.best : value > at->second.best;
    if (better) at->second = {objective, asked, value, by};
  }

  std::vector<Unmet> take() const {
    std::vector<Unmet> list;
    for (const auto& [name, unmet] : best_) {
      // That something does not fit somewhere is no news where something else fits.
      if (name != "memory" || best_.size() == 1) list.push_back(unmet);
    }
    return list;
  }

 private:
  std::map<std::string, Unmet> best_;
};

class Search {
 public:
  Search(const std::vector<MachineSpec>& machines, const Objectives& objectives,
         const Efficiency& efficiency, const EngineProfile& profile)
      : machines_(machines), objectives_(objectives), efficiency_(efficiency), profile_(profile) {}

  /// Whose layouts are looked at from here on.
  void enter(const SizedModel& model) { work_ = model_work(model.parts, model.shape); }

  void look(const SizedModel& model, const GpuSpec& gpu) {
    const std::string reason =
        objectives_.any_vendor ? "" : unsupported_reason(gpu, model.shape.format);
    if (!reason.empty()) {
      refuse({Refusal::Kind::kUnsupported, &gpu, {}, model.shape.format.name, 0, reason});
      return;
    }
    if (!wanted_somewhere(gpu)) {
      refuse({Refusal::Kind::kNoMachine,
              &gpu,
              {},
              model.shape.format.name,
              0,
              "no machine with it is offered there"});
      return;
    }
    for (const Layout& layout : layouts_on(gpu, model.shape, objectives_, node_sizes(gpu))) {
      if (!check_layout(model.shape, layout)) continue;
      for (const KvType& kv : objectives_.kv_types) look(model, gpu, layout, kv);
    }
  }

  Answer take() {
    std::stable_sort(answer_.plans.begin(), answer_.plans.end(), before);
    if (answer_.plans.empty()) answer_.unmet = nearest_.take();
    return std::move(answer_);
  }

 private:
  static bool before(const Plan& a, const Plan& b) {
    const double left = a.usd_per_hour.value_or(inf());
    const double right = b.usd_per_hour.value_or(inf());
    if (left != right) return left < right;
    if (a.gpus() != b.gpus()) return a.gpus() < b.gpus();
    return a.served.tpot < b.served.tpot;
  }

  void refuse(Refusal refusal) { answer_.refusals.push_back(std::move(refusal)); }

  bool wanted(const MachineSpec& machine) const {
    const auto& clouds = objectives_.clouds;
    return clouds.empty() ||
           std::find(clouds.begin(), clouds.end(), machine.provider) != clouds.end();
  }

  bool wanted_somewhere(const GpuSpec& gpu) const {
    if (objectives_.clouds.empty() && machines_.empty()) return true;
    return std::any_of(machines_.begin(), machines_.end(), [&](const MachineSpec& machine) {
      return machine.gpu == gpu.id && wanted(machine);
    });
  }

  /// GPUs of machines that stages of a copy may be divided over: own ones of any size, rented ones
  /// from half a node on.
  std::set<std::int64_t> node_sizes(const GpuSpec& gpu) const {
    std::set<std::int64_t> sizes;
    for (const MachineSpec& machine : machines_) {
      if (machine.gpu != gpu.id || !wanted(machine)) continue;
      const bool large = machine.gpu_count >= kLargeNode / 2;
      if (large || machine.provider == "on-prem") sizes.insert(machine.gpu_count);
    }
    return sizes;
  }

  /// Whether some machine, as many as there are, holds one copy.
  bool holds_one(const GpuSpec& gpu, const Layout& layout) const {
    if (machines_.empty()) return true;
    return std::any_of(machines_.begin(), machines_.end(), [&](const MachineSpec& machine) {
      return machine.gpu == gpu.id && wanted(machine) && machine_count(machine, gpu, layout, 1) > 0;
    });
  }

  /// machines_for, but none where a copy would span more machines than asked for, or rented ones
  /// whose network nobody states.
  std::int64_t machine_count(const MachineSpec& machine, const GpuSpec& gpu, const Layout& layout,
                             std::int64_t copies) const {
    const std::int64_t count = machines_for(machine, gpu, layout, copies);
    if (layout.gpus() <= machine.gpu_count) return count;
    if (layout.gpus() / machine.gpu_count > objectives_.most_nodes) return 0;
    const bool linked = gpu.link_domain >= layout.gpus();
    return linked || machine.network_gbit_s > 0 || machine.provider == "on-prem" ? count : 0;
  }

  /// The network is that of the slowest machine whose network is known.
  Fabric fabric(const GpuSpec& gpu) const {
    double network = 0;
    for (const MachineSpec& machine : machines_) {
      if (machine.gpu != gpu.id || !wanted(machine) || machine.network_gbit_s <= 0) continue;
      const double each = machine.network_gbit_s / 8 / static_cast<double>(machine.gpu_count);
      network = network > 0 ? std::min(network, each) : each;
    }
    constexpr double kUnknownNetwork = 12.5;  // 100 Gbit/s a GPU, of own machines
    return {gpu.link_gb_s, network > 0 ? network : kUnknownNetwork, gpu.link_domain,
            gpu.has_nvlink};
  }

  void look(const SizedModel& model, const GpuSpec& gpu, const Layout& layout, const KvType& kv) {
    ++answer_.looked_at;
    Plan plan;
    plan.gpu = &gpu;
    plan.format = model.shape.format.name;
    plan.kv = kv;
    plan.layout = layout;
    plan.memory = rank_memory(model.parts, model.shape, layout, gpu.usable_gib, profile_);
    plan.kv_tokens = kv_tokens(plan.memory, model.shape, layout, kv, objectives_.context);
    const bool held = holds_one(gpu, layout);
    if (plan.kv_tokens < objectives_.context * layout.dp) {
      refuse_memory(model, plan, held);
      return;
    }
    if (!held) {
      refuse_machine(plan);
      return;
    }
    Replica replica{rank_work(*work_, model.shape, layout, kv, objectives_.context), gpu,
                    fabric(gpu), profile_, plan.kv_tokens};
    spread(plan, replica);
  }

  /// `held`: there are machines for it, so that memory is what it lacks.
  void refuse_memory(const SizedModel& model, const Plan& plan, bool held) {
    const auto one = static_cast<std::int64_t>(
        rank_kv_bytes(model.shape, plan.layout, plan.kv, objectives_.context));
    const std::int64_t missing = one - plan.memory.left;
    refuse({Refusal::Kind::kMemory, plan.gpu, plan.layout, plan.format, missing,
            fmt::format("{:.1f} GiB lacking on each GPU: weights {:.1f}, other {:.1f}, one context "
                        "{:.1f}, of {:.1f} that the engine may take",
                        static_cast<double>(missing) / kGiB,
                        static_cast<double>(plan.memory.weights) / kGiB,
                        static_cast<double>(plan.memory.needed() - plan.memory.weights) / kGiB,
                        static_cast<double>(one) / kGiB,
                        static_cast<double>(plan.memory.budget) / kGiB)});
    if (!held) return;
    nearest_.note(
        "memory", static_cast<double>(plan.memory.budget) / kGiB,
        static_cast<double>(plan.memory.budget + static_cast<std::uint64_t>(missing)) / kGiB, true,
        plan_text(*plan.gpu, plan.layout, 1));
  }

  void refuse_machine(const Plan& plan) {
    refuse({Refusal::Kind::kNoMachine, plan.gpu, plan.layout, plan.format, 0,
            fmt::format("no machine on offer holds {}",
                        plan_text(*plan.gpu, plan.layout, plan.copies))});
    nearest_.note("machines", static_cast<double>(plan.gpus()), most_gpus(plan), false,
                  plan_text(*plan.gpu, plan.layout, plan.copies));
  }

  /// GPUs of that kind in the machines that there are; 0 where none has a price asked for.
  double most_gpus(const Plan& plan) const {
    double most = 0;
    for (const MachineSpec& machine : machines_) {
      if (machine.gpu != plan.gpu->id || !wanted(machine)) continue;
      if (objectives_.spot && !price(machine) && machine.provider != "on-prem") continue;
      most += static_cast<double>(machine.gpu_count * std::max<std::int64_t>(1, machine.machines));
    }
    return most;
  }

  /// The fewest copies that meet everything but the budget, then machines for them.
  void spread(Plan plan, const Replica& replica) {
    if (copies_that_hold_load(plan) > kMostCopies) {
      const auto most = static_cast<double>(kMostCopies * contexts_held(plan));
      const std::string by = plan_text(*plan.gpu, plan.layout, kMostCopies);
      nearest_.note("concurrency", objectives_.load.concurrency, most, false, by);
      refuse({Refusal::Kind::kObjective, plan.gpu, plan.layout, plan.format, 0,
              fmt::format("{} hold {:.0f} users", by, most)});
      return;
    }
    for (std::int64_t copies = copies_that_hold_load(plan); copies <= kMostCopies;
         copies += std::max<std::int64_t>(1, copies / 4)) {
      plan.copies = copies;
      serve(plan, replica);
      if (meets(plan)) {
        rent(plan);
        return;
      }
      // One user a copy: more copies change nothing.
      const double users = objectives_.load.concurrency;
      if (users > 0 && static_cast<double>(copies) >= users) break;
    }
    refuse({Refusal::Kind::kObjective, plan.gpu, plan.layout, plan.format, 0,
            fmt::format("misses an objective: {:.1f} ms a token, first token after {:.0f} ms, "
                        "{:.0f} tokens/s",
                        plan.served.tpot * 1e3, plan.served.ttft * 1e3, plan.tokens_s)});
  }

  /// Whole contexts that the cache of one copy holds.
  std::int64_t contexts_held(const Plan& plan) const {
    return plan.kv_tokens / objectives_.context;
  }

  /// Each copy's cache must hold the whole contexts of its users.
  std::int64_t copies_that_hold_load(const Plan& plan) const {
    const double users = std::max(1.0, objectives_.load.concurrency);
    const auto each = static_cast<double>(contexts_held(plan));
    return static_cast<std::int64_t>(std::ceil(users / std::max(1.0, each)));
  }

  void serve(Plan& plan, const Replica& replica) const {
    const auto copies = static_cast<double>(plan.copies);
    Load load = objectives_.load;
    load.concurrency = std::ceil(load.concurrency / copies);
    load.rate /= copies;
    const bool all_that_fit = load.concurrency <= 0 && load.rate <= 0;
    plan.served = all_that_fit && objectives_.tpot
                      ? serve_within(replica, load, efficiency_, *objectives_.tpot)
                      : serve_load(replica, load, efficiency_);
    plan.tokens_s = plan.served.tokens_s * copies;
  }

  /// Whether everything but the budget is met; what is missed is remembered.
  bool meets(const Plan& plan) {
    const std::string by = plan_text(*plan.gpu, plan.layout, plan.copies);
    bool met = !plan.served.saturated;
    if (plan.served.saturated) {
      nearest_.note("rate", objectives_.load.rate, plan.tokens_s / objectives_.load.output_tokens,
                    false, by);
    }
    const auto check = [&](const char* name, const std::optional<double>& limit, double value,
                           bool less) {
      if (!limit) return;
      if (less ? value <= *limit : value >= *limit) return;
      met = false;
      nearest_.note(name, *limit, value, less, by);
    };
    check("tpot", objectives_.tpot, plan.served.tpot, true);
    check("ttft", objectives_.ttft, plan.served.ttft, true);
    check("throughput", objectives_.throughput, plan.tokens_s, false);
    return met;
  }

  /// Own machines cost the same however they are asked for.
  std::optional<double> price(const MachineSpec& machine) const {
    return objectives_.spot && machine.provider != "on-prem" ? machine.spot_usd_per_hour
                                                             : machine.usd_per_hour;
  }

  void rent(Plan& plan) {
    for (const MachineSpec& machine : machines_) {
      if (machine.gpu != plan.gpu->id || !wanted(machine)) continue;
      const std::int64_t count = machine_count(machine, *plan.gpu, plan.layout, plan.copies);
      if (count == 0) continue;
      const auto each = price(machine);
      if (objectives_.spot && !each && machine.provider != "on-prem") continue;
      const double total = each ? *each * static_cast<double>(count) : inf();
      if (plan.machine != nullptr && total >= plan.usd_per_hour.value_or(inf())) continue;
      plan.machine = &machine;
      plan.machines = count;
      plan.usd_per_hour = each ? std::optional(total) : std::nullopt;
    }
    const bool must_exist = !machines_.empty();
    if (plan.machine == nullptr && must_exist) {
      refuse_machine(plan);
      return;
    }
    if (objectives_.budget && plan.usd_per_hour.value_or(inf()) > *objectives_.budget) {
      nearest_.note("budget", *objectives_.budget, plan.usd_per_hour.value_or(inf()), true,
                    plan_text(*plan.gpu, plan.layout, plan.copies));
      refuse({Refusal::Kind::kObjective, plan.gpu, plan.layout, plan.format, 0,
              plan.usd_per_hour ? fmt::format("costs {:.2f} USD an hour", *plan.usd_per_hour)
                                : "has no known price"});
      return;
    }
    answer_.plans.push_back(plan);
  }

  const std::vector<MachineSpec>& machines_;
  const Objectives& objectives_;
  const Efficiency& efficiency_;
  const EngineProfile& profile_;
  std::optional<ModelWork> work_;  // of the model that was entered
  Answer answer_;
  Nearest nearest_;
};

}  // namespace

std::string plan_text(const GpuSpec& gpu, const Layout& layout, std::int64_t copies) {
  std::string text =
      std::to_string(copies * layout.gpus()) + "x " + gpu.name + " " + layout_text(layout);
  if (copies > 1) text += ", " + std::to_string(copies) + " copies";
  return text;
}

std::string unsupported_reason(const GpuSpec& gpu, const WeightFormat& format) {
  if (gpu.vendor != "NVIDIA") return "the runtime has no kernels for " + gpu.vendor + " GPUs";
  const auto below = [&](double least, const char* what) {
    return fmt::format("compute capability {:.1f}; {} needs {:.1f}", gpu.compute_capability, what,
                       least);
  };
  if (gpu.compute_capability < kLeastCapability) return below(kLeastCapability, "the runtime");
  const std::string compute = format.compute();
  if (compute == "fp8" && gpu.compute_capability < kFp8Capability) {
    return below(kFp8Capability, "FP8");
  }
  if (compute == "fp4" && gpu.compute_capability < kFp4Capability) {
    return below(kFp4Capability, "FP4");
  }
  const bool narrow = compute == "fp8" || compute == "fp4";
  if (narrow && std::find(std::begin(kOwnCode), std::end(kOwnCode), gpu.compute_capability) ==
                    std::end(kOwnCode)) {
    return fmt::format("compute capability {:.1f}, for which the runtime has no code with {}",
                       gpu.compute_capability, compute == "fp8" ? "FP8" : "FP4");
  }
  return "";
}

std::vector<const Plan*> pareto_front(const std::vector<Plan>& plans) {
  std::vector<const Plan*> front;
  for (const Plan& plan : plans) {  // cheapest first
    if (!plan.usd_per_hour) continue;
    if (front.empty() || plan.served.tpot < front.back()->served.tpot) front.push_back(&plan);
  }
  return front;
}

Answer search(const std::vector<SizedModel>& models, const std::vector<GpuSpec>& gpus,
              const std::vector<MachineSpec>& machines, const Objectives& objectives,
              const Efficiency& efficiency, const EngineProfile& profile) {
  Search search(machines, objectives, efficiency, profile);
  for (const SizedModel& model : models) {
    search.enter(model);
    for (const GpuSpec& gpu : gpus) search.look(model, gpu);
  }
  return search.take();
}

}  // namespace bundle::sizing
