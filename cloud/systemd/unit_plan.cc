#include "cloud/systemd/unit_plan.h"

#include "base/text.h"
#include "cloud/systemd/host_gpus.h"
#include "cloud/systemd/host_units.h"
#include "cloud/systemd/placement.h"
#include "cloud/systemd/units.h"

namespace bundle::cloud {
namespace {

Result<bool> all_ready(const Fleet& fleet, const DeploymentSpec& spec) {
  for (const UnitReplica& replica : place_replicas(spec, fleet.size())) {
    const bool sleeps = spec.scaling.min_replicas == 0;
    const std::string unit =
        sleeps ? socket_name(spec.name, replica.index) : unit_name(spec.name, replica.index);
    BUNDLE_TRY(const UnitState state,
               HostUnits(fleet.host(replica.host), fleet.units()).state(unit));
    if (!state.is_ready()) return false;
  }
  return true;
}

/// Which GPUs it takes, and of how many; at a first deploy, those that another program uses.
Status note_gpus(const Fleet& fleet, const DeploymentSpec* before, const DeploymentSpec& spec,
                 DeploymentPlan& plan) {
  constexpr int kIdleMib = 1024;
  const GpuRange range = gpu_range(spec, fleet.size());
  if (range.count == 0) return {};
  const bool has_them = before != nullptr && gpu_range(*before, fleet.size()).count > 0;
  for (const std::size_t i : hosts_of(spec, fleet.size())) {
    BUNDLE_TRY(const HostGpus gpus, host_gpus(fleet.host(i)));
    plan.notes.push_back("it takes GPUs " + std::to_string(range.first) + " to " +
                         std::to_string(range.end() - 1) + " of the " + std::to_string(gpus.count) +
                         " of " + fleet.host(i).name());
    for (int gpu = range.first; !has_them && gpu < range.end(); ++gpu) {
      const auto at = static_cast<std::size_t>(gpu);
      if (at >= gpus.memory_mib.size() || gpus.memory_mib[at] < kIdleMib) continue;
      plan.notes.push_back("another program has " + std::to_string(gpus.memory_mib[at]) +
                           " MiB of GPU " + std::to_string(gpu) + " there");
    }
  }
  return {};
}

void note(const DeploymentSpec& spec, DeploymentPlan& plan) {
  plan.notes.push_back("a replica may take " + std::to_string(ready_seconds(spec)) + " s to load " +
                       human_bytes(spec.weight_bytes) + " of weights");
  if (spec.scaling.min_replicas == 0) {
    plan.notes.emplace_back(
        "a socket listens, and the first request starts the server; it sleeps after " +
        std::to_string(spec.scaling.idle_seconds) + " s without one");
  } else if (spec.scaling.min_replicas > 1) {
    plan.notes.emplace_back("one replica at a time is replaced; the others answer meanwhile");
  } else if (plan.revision > 1) {
    plan.notes.emplace_back(
        "with one replica the endpoint waits while it is replaced" +
        std::string(spec.resources.gpu > 0 ? ": its GPUs cannot hold two" : ""));
  }
  const bool open = spec.host != "127.0.0.1" && spec.host != "localhost" && spec.host != "::1";
  if (open && spec.api_key_file.empty()) {
    plan.notes.push_back("it listens on " + spec.host + " and asks for no key");
  }
  if (!open && spec.target == "ssh") {
    plan.notes.emplace_back("it listens on the hosts' loopback alone; set 'host' to open it");
  }
}

}  // namespace

Result<DeploymentPlan> unit_plan(const Fleet& fleet, const std::optional<History>& before,
                                 const HostForm& form) {
  const DeploymentSpec& spec = form.spec;
  const bool same = before && before->is_current(spec) && !before->pending;
  DeploymentPlan plan;
  plan.deployment = spec.name;
  plan.revision = (before ? before->number() : 0) + (before && before->is_current(spec) ? 0 : 1);
  BUNDLE_TRY(const std::uint64_t missing, fleet.missing_bytes(form));
  BUNDLE_TRY(const bool up, all_ready(fleet, spec));
  plan.changes = !same || missing > 0 || !up;
  if (!plan.changes) {
    plan.steps = {"nothing: revision " + std::to_string(plan.revision) +
                  " runs with these settings"};
    return plan;
  }
  if (before) plan.differences = differences(before->current().spec.to_json(), spec.to_json());
  if (before && before->pending) plan.steps.emplace_back("finish an apply that was cut off");
  if (missing > 0) plan.steps.push_back("send " + human_bytes(missing) + " that the hosts lack");
  for (const UnitReplica& replica : place_replicas(spec, fleet.size())) {
    plan.steps.push_back(
        (before ? "drain and restart " : "start ") + unit_name(spec.name, replica.index) + " on " +
        fleet.host(replica.host).name() + ", port " + std::to_string(replica.port));
  }
  note(spec, plan);
  BUNDLE_CHECK(note_gpus(fleet, before ? &before->current().spec : nullptr, spec, plan));
  return plan;
}

}  // namespace bundle::cloud
