// What somebody owns, as machines.
#include "cloud/catalog/catalog.h"

namespace bundle::catalog {
namespace {

constexpr std::int64_t kMostHosts = 100000;

Result<sizing::MachineSpec> read_host(const Json& host, const Catalog& catalog,
                                      const std::string& at) {
  sizing::MachineSpec machine;
  machine.provider = "on-prem";
  BUNDLE_TRY(machine.type, get_string_or(host, "name", "", at));
  BUNDLE_TRY(const std::string gpu, get_string(host, "gpu", at));
  BUNDLE_TRY(const auto* spec, catalog.gpu(gpu));
  machine.gpu = spec->id;
  if (machine.type.empty()) machine.type = spec->name + " host";
  BUNDLE_TRY(machine.gpu_count, get_int_or(host, "gpus", 1, at));
  BUNDLE_TRY(machine.machines, get_int_or(host, "count", 1, at));
  if (machine.gpu_count < 1 || machine.gpu_count > 1024 || machine.machines < 1 ||
      machine.machines > kMostHosts) {
    return bad_input("'gpus' or 'count' is out of range", at);
  }
  BUNDLE_TRY(machine.network_gbit_s, get_double_or(host, "network_gbps", 0, at));
  BUNDLE_TRY(const double cost, get_double_or(host, "usd_per_hour", -1, at));
  if (cost >= 0) machine.usd_per_hour = cost;
  return machine;
}

}  // namespace

Result<std::vector<sizing::MachineSpec>> read_inventory(const Json& document,
                                                        const Catalog& catalog,
                                                        std::string_view where) {
  const Json* hosts = find(document, "hosts");
  if (hosts == nullptr || !hosts->is_array() || hosts->get_array().empty()) {
    return bad_input("it has no list 'hosts'", std::string(where),
                     "Each host has 'gpu' and 'gpus', and may have 'name', 'count', "
                     "'network_gbps' and 'usd_per_hour'.");
  }
  std::vector<sizing::MachineSpec> machines;
  for (const Json& host : hosts->get_array()) {
    const std::string at = std::string(where) + ": hosts[" + std::to_string(machines.size()) + "]";
    BUNDLE_TRY(sizing::MachineSpec machine, read_host(host, catalog, at));
    machines.push_back(std::move(machine));
  }
  return machines;
}

}  // namespace bundle::catalog
