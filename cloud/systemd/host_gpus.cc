#include "cloud/systemd/host_gpus.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <boost/json/object.hpp>

#include "base/json.h"

namespace bundle::cloud {
namespace {

constexpr char kVisible[] = "CUDA_VISIBLE_DEVICES";
constexpr char kFirst[] = "first_gpu";  // in a placed specification's settings
constexpr int kMostGpus = 1024;

std::optional<int> whole(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool fits = error == std::errc() && end == text.data() + text.size() && value >= 0;
  return fits ? std::optional(value) : std::nullopt;
}

bool chooses_itself(const DeploymentSpec& spec) {
  const auto is_visible = [](const auto& pair) { return pair.first == kVisible; };
  return std::any_of(spec.environment.begin(), spec.environment.end(), is_visible) ||
         std::any_of(spec.secrets.begin(), spec.secrets.end(), is_visible);
}

std::optional<int> placed_at(const DeploymentSpec& spec) {
  const auto first = get_int_or(spec.settings, kFirst, -1, "settings");
  if (!first || *first < 0 || *first > kMostGpus) return std::nullopt;
  return static_cast<int>(*first);
}

bool overlap(const GpuRange& one, const GpuRange& other) {
  return one.count > 0 && other.count > 0 && one.first < other.end() && other.first < one.end();
}

bool is_free(const GpuRange& wanted, const std::vector<GpuRange>& taken) {
  return std::none_of(taken.begin(), taken.end(),
                      [&](const GpuRange& other) { return overlap(wanted, other); });
}

/// The lowest place begins at 0 or where another range ends.
int lowest_free(int count, const std::vector<GpuRange>& taken) {
  std::vector<int> places = {0};
  for (const GpuRange& range : taken) places.push_back(range.end());
  std::sort(places.begin(), places.end());
  for (const int place : places) {
    if (is_free({place, count}, taken)) return place;
  }
  return places.back();
}

}  // namespace

Result<HostGpus> host_gpus(const Host& host) {
  BUNDLE_TRY(const std::string output,
             run_script(host,
                        "set -- /proc/driver/nvidia/gpus/*; [ -e \"$1\" ] || "
                        "set -- /dev/nvidia[0-9]*; [ -e \"$1\" ] || set --; echo \"count $#\"; "
                        "[ $# = 0 ] || timeout 10 nvidia-smi --query-gpu=memory.used "
                        "--format=csv,noheader,nounits 2>/dev/null || true",
                        {}));
  return parse_host_gpus(output);
}

HostGpus parse_host_gpus(std::string_view output) {
  HostGpus gpus;
  while (!output.empty()) {
    const std::string_view line = output.substr(0, output.find('\n'));
    output.remove_prefix(std::min(line.size() + 1, output.size()));
    if (line.starts_with("count ")) {
      gpus.count = std::min(whole(line.substr(6)).value_or(0), kMostGpus);
    } else if (const auto used = whole(line); used && gpus.memory_mib.size() < kMostGpus) {
      gpus.memory_mib.push_back(*used);
    }
  }
  return gpus;
}

GpuRange gpu_range(const DeploymentSpec& spec, std::size_t hosts) {
  if (spec.resources.gpu == 0 || chooses_itself(spec)) return {};
  const auto replicas = static_cast<std::size_t>(std::max(1, spec.scaling.min_replicas));
  const auto slots = static_cast<int>((replicas + hosts - 1) / hosts);
  return {placed_at(spec).value_or(0), slots * spec.resources.gpu};
}

void choose_gpus(const std::vector<DeploymentSpec>& others, const DeploymentSpec* before,
                 std::size_t hosts, DeploymentSpec& spec) {
  const GpuRange wanted = gpu_range(spec, hosts);
  if (wanted.count == 0) return;
  std::vector<GpuRange> taken;
  for (const DeploymentSpec& other : others) taken.push_back(gpu_range(other, hosts));
  std::optional<int> place = placed_at(spec);
  if (!place && before != nullptr) place = placed_at(*before);
  if (!place || !is_free({*place, wanted.count}, taken)) place = lowest_free(wanted.count, taken);
  spec.settings[kFirst] = *place;
}

Status check_gpus(const HostGpus& gpus, const std::string& host, const GpuRange& range,
                  const std::vector<DeploymentSpec>& others) {
  if (range.end() <= gpus.count) return {};
  std::string taken;
  for (const DeploymentSpec& other : others) {
    if (other.resources.gpu == 0) continue;
    taken += (taken.empty() ? "" : ", ") + std::string("'") + other.name + "'";
  }
  return bad_input("the host has " + std::to_string(gpus.count) +
                       " GPUs, and this deployment needs " + std::to_string(range.count) +
                       (taken.empty() ? "" : " beside those of " + taken),
                   host, "Set resources.gpu to what is left; with 0 its CPUs serve.");
}

int first_gpu(const DeploymentSpec& spec, std::size_t slot) {
  return placed_at(spec).value_or(0) + static_cast<int>(slot) * spec.resources.gpu;
}

TextPairs gpu_environment(const DeploymentSpec& spec, int first) {
  if (spec.resources.gpu == 0 || chooses_itself(spec)) return {};
  std::string list;
  for (int i = 0; i < spec.resources.gpu; ++i) {
    list += (list.empty() ? "" : ",") + std::to_string(first + i);
  }
  return {{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}, {kVisible, list}};
}

}  // namespace bundle::cloud
