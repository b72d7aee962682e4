// What somebody owns, as machines.
#include <algorithm>

#include "base/text.h"
#include "cloud/catalog/catalog.h"

namespace bundle::catalog {
namespace {

constexpr std::int64_t kMostHosts = 100000;
constexpr double kMostFigure = 1e9;
constexpr std::size_t kMostNames = 64;  // bytes of joined names

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
  if (find(host, "usd_per_hour") != nullptr) {
    BUNDLE_TRY(machine.usd_per_hour, get_double_or(host, "usd_per_hour", 0, at));
  }
  const double cost = machine.usd_per_hour.value_or(0);
  if (!(machine.network_gbit_s >= 0 && machine.network_gbit_s <= kMostFigure) ||
      !(cost >= 0 && cost <= kMostFigure)) {
    return bad_input("'network_gbps' or 'usd_per_hour' is out of range", at);
  }
  return machine;
}

Status check_keys(const Json& host, const std::string& at) {
  static const std::vector<std::string> known = {"name",  "gpu",          "gpus",
                                                 "count", "network_gbps", "usd_per_hour"};
  if (!host.is_object()) return bad_input("a host is a map", at);
  for (const auto& [key, value] : host.get_object()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest(key, known);
    return bad_input("unknown key '" + std::string(key) + "'", at,
                     near.empty() ? "Known: name, gpu, gpus, count, network_gbps, usd_per_hour."
                                  : "Did you mean '" + near + "'?");
  }
  return {};
}

/// Hosts that are alike count together: a copy may span them.
void join(std::vector<sizing::MachineSpec>& machines, sizing::MachineSpec host) {
  for (sizing::MachineSpec& other : machines) {
    if (other.gpu != host.gpu || other.gpu_count != host.gpu_count ||
        other.network_gbit_s != host.network_gbit_s || other.usd_per_hour != host.usd_per_hour) {
      continue;
    }
    other.machines += host.machines;
    if (other.type != host.type && other.type.size() < kMostNames) other.type += ", " + host.type;
    return;
  }
  machines.push_back(std::move(host));
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
  std::size_t index = 0;
  for (const Json& host : hosts->get_array()) {
    const std::string at = std::string(where) + ": hosts[" + std::to_string(index++) + "]";
    BUNDLE_CHECK(check_keys(host, at));
    BUNDLE_TRY(sizing::MachineSpec machine, read_host(host, catalog, at));
    join(machines, std::move(machine));
  }
  return machines;
}

}  // namespace bundle::catalog
