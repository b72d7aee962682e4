#include "cli/deployment_price.h"

#include <algorithm>

namespace bundle::cli {
namespace {

using sizing::MachineSpec;

constexpr char kOwn[] = "on-prem";

/// What a replica needs of machines of a kind, and what that costs.
struct Offer {
  const MachineSpec* machine = nullptr;
  double share = 1;  // of one machine, or how many of them

  double price() const { return *machine->usd_per_hour * share; }
};

std::string setting(const cloud::DeploymentSpec& spec, const char* key) {
  const Json* value = spec.settings.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

bool is_spot(const cloud::DeploymentSpec& spec) {
  const Json* value = spec.settings.if_contains("spot");
  return value != nullptr && value->is_bool() && value->get_bool();
}

int on_demand_base(const cloud::DeploymentSpec& spec) {
  const Json* value = spec.settings.if_contains("on_demand_base");
  return value != nullptr && value->is_int64() ? static_cast<int>(value->get_int64()) : 0;
}

bool takes_any_machine(const cloud::DeploymentSpec& spec) {
  return spec.target == "kubernetes" || spec.target == "skypilot";
}

std::optional<Offer> named_machine(const cloud::DeploymentSpec& spec,
                                   const catalog::Catalog& catalog) {
  const std::string type = setting(spec, "instance_type");
  for (const MachineSpec& one : catalog.machines()) {
    if (one.type == type && one.usd_per_hour) {
      return Offer{&one, static_cast<double>(spec.resources.nodes)};
    }
  }
  return std::nullopt;
}

/// Clouds sell whole machines; on a cluster of them others use the GPUs that a replica leaves free.
std::optional<Offer> cheapest_machine(const cloud::DeploymentSpec& spec,
                                      const catalog::Catalog& catalog) {
  const auto gpu = catalog.gpu(spec.resources.gpu_type);
  const double gpus = spec.resources.gpu;
  if (!gpu || gpus <= 0) return std::nullopt;
  std::optional<Offer> best;
  for (const MachineSpec& one : catalog.machines()) {
    const bool fits = one.gpu == (*gpu)->id && one.gpu_count >= gpus && one.usd_per_hour;
    if (!fits || !(takes_any_machine(spec) || one.provider == kOwn)) continue;
    const bool whole = spec.target == "skypilot";
    const double share = (whole ? 1 : gpus / static_cast<double>(one.gpu_count));
    const Offer offer{&one, share * spec.resources.nodes};
    if (!best || offer.price() < best->price()) best = offer;
  }
  return best;
}

std::string origin_of(const Offer& offer, const cloud::DeploymentSpec& spec) {
  const MachineSpec& machine = *offer.machine;
  std::string text = machine.provider + " " + machine.type;
  if (!machine.region.empty()) text += ", " + machine.region;
  if (!machine.price_date.empty()) text += ", " + machine.price_date;
  if (takes_any_machine(spec) && machine.provider != kOwn) {
    text = "cheapest of the catalogue: " + text;
  }
  return text;
}

/// USD an hour of so many replicas.
double price_of(int replicas, const cloud::PlanCost& cost, int base) {
  const int on_demand = std::min(replicas, base);
  const double other = cost.spot_usd_per_replica_hour.value_or(cost.usd_per_replica_hour);
  return on_demand * cost.usd_per_replica_hour + (replicas - on_demand) * other;
}

}  // namespace

std::optional<cloud::PlanCost> cost_of(const cloud::DeploymentSpec& spec,
                                       const catalog::Catalog& catalog) {
  const bool by_type = spec.target == "aws" || spec.target == "terraform";
  const auto offer = by_type ? named_machine(spec, catalog) : cheapest_machine(spec, catalog);
  if (!offer) return std::nullopt;
  cloud::PlanCost cost;
  cost.usd_per_replica_hour = offer->price();
  cost.origin = origin_of(*offer, spec);
  if (is_spot(spec) && offer->machine->spot_usd_per_hour) {
    cost.spot_usd_per_replica_hour = *offer->machine->spot_usd_per_hour * offer->share;
  }
  const int base = on_demand_base(spec);
  cost.least_usd_per_hour = price_of(spec.scaling.min_replicas, cost, base);
  cost.most_usd_per_hour = price_of(spec.scaling.max_replicas, cost, base);
  return cost;
}

void set_cost(cloud::DeploymentPlan& plan, const cloud::DeploymentSpec& spec,
              const cloud::DeploymentSpec* running, const catalog::Catalog& catalog) {
  plan.cost = cost_of(spec, catalog);
  if (!plan.cost || running == nullptr) return;
  if (const auto before = cost_of(*running, catalog)) {
    plan.cost->least_before = before->least_usd_per_hour;
    plan.cost->most_before = before->most_usd_per_hour;
  }
}

}  // namespace bundle::cli
