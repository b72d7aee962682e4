#include "cloud/catalog/read_entry.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace bundle::catalog {
namespace {

constexpr double kMost = 1e9;
/// Where the driver's figure is not known: sold gigabytes, taken as decimal ones. Cautious: most
/// data-centre GPUs report more.
constexpr double kGibPerGb = 1e9 / (1024.0 * 1024.0 * 1024.0);

/// GB/s in one direction of an x16 slot.
double pcie_gb_s(double generation) {
  if (generation <= 3) return 16;
  return 16 * std::pow(2, generation - 3);
}

/// A number of 0 … 1e9; `fallback` when it is absent or null.
Result<double> number(const Json& entry, const char* key, double fallback, const std::string& at) {
  const Json* value = find(entry, key);
  if (value == nullptr || value->is_null()) return fallback;
  BUNDLE_TRY(const double found, get_double_or(entry, key, fallback, at));
  if (!(found >= 0 && found <= kMost)) {
    return bad_input("'" + std::string(key) + "' is out of range", at);
  }
  return found;
}

Result<std::optional<double>> price(const Json& entry, const char* key, const std::string& at) {
  BUNDLE_TRY(const double found, number(entry, key, -1, at));
  return found < 0 ? std::nullopt : std::optional<double>(found);
}

std::vector<std::string> texts(const Json& entry, const char* key) {
  std::vector<std::string> list;
  const Json* value = find(entry, key);
  if (value == nullptr || !value->is_array()) return list;
  for (const Json& item : value->get_array()) {
    if (item.is_string()) list.emplace_back(item.get_string());
  }
  return list;
}

/// Names end on terminals.
Status check_printable(std::string_view name, const std::string& at) {
  const bool plain =
      std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (plain && is_valid_utf8(name)) return {};
  return bad_input("a name has control characters", at);
}

/// "9.0"; other vendors name their architectures otherwise: 0.
double capability(const Json& entry) {
  const Json* value = find(entry, "compute_capability");
  if (value == nullptr || !value->is_string()) return 0;
  const std::string_view text(value->get_string());
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

Status read_peaks(const Json& entry, const std::string& at, sizing::GpuSpec& gpu) {
  const Json* peaks = find(entry, "dense_tflops");
  if (peaks == nullptr || !peaks->is_object()) return bad_input("'dense_tflops' is missing", at);
  BUNDLE_TRY(gpu.bf16, number(*peaks, "bf16", 0, at));
  BUNDLE_TRY(gpu.fp16, number(*peaks, "fp16", 0, at));
  BUNDLE_TRY(gpu.fp8, number(*peaks, "fp8", 0, at));
  BUNDLE_TRY(gpu.int8, number(*peaks, "int8", 0, at));
  BUNDLE_TRY(gpu.fp4, number(*peaks, "fp4", 0, at));
  if (gpu.bf16 <= 0 && gpu.fp16 <= 0) {
    return bad_input("'dense_tflops' has neither 'bf16' nor 'fp16'", at);
  }
  return {};
}

Status read_links(const Json& entry, const std::string& at, sizing::GpuSpec& gpu) {
  BUNDLE_TRY(const double nvlink, number(entry, "nvlink_gb_s_total", 0, at));
  BUNDLE_TRY(const double pcie, number(entry, "pcie_gen", 4, at));
  BUNDLE_TRY(const double most, number(entry, "max_gpus_per_node", 8, at));
  BUNDLE_TRY(const std::string form, get_string_or(entry, "form_factor", "", at));
  gpu.has_nvlink = nvlink > 0;
  gpu.link_gb_s = nvlink > 0 ? nvlink / 2 : pcie_gb_s(pcie);
  gpu.most_per_node = std::max<std::int64_t>(1, static_cast<std::int64_t>(most));
  gpu.link_domain = form == "NVL72" ? 72 : gpu.most_per_node;
  return {};
}

Result<sizing::GpuSpec> read_gpu(const std::string& id, const Json& entry, std::string_view where) {
  const std::string at = std::string(where) + ": gpus." + id;
  sizing::GpuSpec gpu;
  gpu.id = id;
  BUNDLE_TRY(gpu.name, get_string_or(entry, "name", id, at));
  BUNDLE_TRY(gpu.vendor, get_string(entry, "vendor", at));
  gpu.compute_capability = capability(entry);
  BUNDLE_TRY(gpu.memory_gb, number(entry, "memory_gb", 0, at));
  BUNDLE_CHECK(check_printable(gpu.name, at));
  BUNDLE_TRY(gpu.usable_gib, number(entry, "memory_gib_usable", 0, at));
  BUNDLE_TRY(gpu.bandwidth_gb_s, number(entry, "memory_bandwidth_gb_s", 0, at));
  if (gpu.memory_gb < 1 || gpu.bandwidth_gb_s < 1) {
    return bad_input("'memory_gb' and 'memory_bandwidth_gb_s' must be there, at least 1", at);
  }
  gpu.usable_estimated = gpu.usable_gib <= 0;
  if (gpu.usable_estimated) gpu.usable_gib = gpu.memory_gb * kGibPerGb;
  BUNDLE_CHECK(read_peaks(entry, at, gpu));
  BUNDLE_CHECK(read_links(entry, at, gpu));
  BUNDLE_TRY(gpu.driver_name, get_string_or(entry, "driver_name", "", at));
  BUNDLE_TRY(gpu.skypilot_name, get_string_or(entry, "skypilot_name", "", at));
  gpu.aliases = texts(entry, "aliases");
  return gpu;
}

/// None for a part of a GPU, which cannot be planned with.
Result<std::optional<sizing::MachineSpec>> read_machine(const Json& entry, const std::string& at) {
  sizing::MachineSpec machine;
  BUNDLE_TRY(machine.provider, get_string(entry, "provider", at));
  BUNDLE_TRY(machine.type, get_string(entry, "instance_type", at));
  BUNDLE_TRY(machine.gpu, get_string(entry, "gpu", at));
  BUNDLE_CHECK(check_printable(machine.provider + machine.type, at));
  BUNDLE_TRY(const double count, number(entry, "gpu_count", 0, at));
  if (count != std::floor(count) || count < 1) return std::optional<sizing::MachineSpec>();
  machine.gpu_count = static_cast<std::int64_t>(count);
  // "up to 25" promises nothing: not known.
  if (const Json* network = find(entry, "network_gbps"); network && !network->is_string()) {
    BUNDLE_TRY(machine.network_gbit_s, number(entry, "network_gbps", 0, at));
  }
  BUNDLE_TRY(machine.usd_per_hour, price(entry, "on_demand_usd_per_hour", at));
  BUNDLE_TRY(machine.spot_usd_per_hour, price(entry, "spot_usd_per_hour", at));
  BUNDLE_TRY(machine.region, get_string_or(entry, "price_region", "", at));
  BUNDLE_TRY(machine.price_date, get_string_or(entry, "price_as_of", "", at));
  return std::optional(std::move(machine));
}

Result<ModelEntry> read_model(const std::string& name, const Json& entry, std::string_view where) {
  const std::string at = std::string(where) + ": models." + name;
  ModelEntry model;
  model.name = name;
  BUNDLE_TRY(model.hub_id, get_string_or(entry, "hub_id", "", at));
  BUNDLE_TRY(model.context_length, get_int_or(entry, "context_length", 0, at));
  const Json* config = find(entry, "config");
  if (config == nullptr || !config->is_object()) return bad_input("'config' is missing", at);
  model.document = entry;
  return model;
}

template <typename Read>
Status each_member(const Json& document, const char* key, std::string_view where, Read read) {
  const Json* map = find(document, key);
  if (map == nullptr) return {};
  if (!map->is_object())
    return bad_input("'" + std::string(key) + "' is no map", std::string(where));
  for (const auto& [name, entry] : map->get_object()) BUNDLE_CHECK(read(std::string(name), entry));
  return {};
}

Status read_machines(const Json& document, std::string_view where, Entries& entries) {
  const Json* list = find(document, "instances");
  if (list == nullptr) return {};
  if (!list->is_array()) return bad_input("'instances' is no list", std::string(where));
  std::size_t index = 0;
  for (const Json& entry : list->get_array()) {
    const std::string at = std::string(where) + ": instances[" + std::to_string(index++) + "]";
    BUNDLE_TRY(auto machine, read_machine(entry, at));
    if (machine) entries.machines.push_back(std::move(*machine));
  }
  return {};
}

}  // namespace

Result<Entries> read_entries(const Json& document, std::string_view where) {
  if (find(document, "gpus") == nullptr && find(document, "models") == nullptr &&
      find(document, "instances") == nullptr) {
    return bad_input("it has none of 'models', 'gpus' and 'instances'", std::string(where),
                     "See docs/sizing.md for the form of a catalogue.");
  }
  Entries entries;
  BUNDLE_CHECK(each_member(document, "gpus", where, [&](const std::string& id, const Json& entry) {
    auto gpu = read_gpu(id, entry, where);
    if (!gpu) return Status(gpu.error());
    entries.gpus.push_back(std::move(*gpu));
    return Status();
  }));
  BUNDLE_CHECK(
      each_member(document, "models", where, [&](const std::string& name, const Json& entry) {
        auto model = read_model(name, entry, where);
        if (!model) return Status(model.error());
        entries.models.push_back(std::move(*model));
        return Status();
      }));
  BUNDLE_CHECK(read_machines(document, where, entries));
  return entries;
}

}  // namespace bundle::catalog
