#include "runtime/kernels/cpu/cpu_features.h"

#include <algorithm>
#include <cmath>
#include <cpuid.h>
#include <cstdlib>
#include <fstream>
#include <sched.h>
#include <set>
#include <sstream>
#include <string>

namespace bundle::kernels::cpu {
namespace {

bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

// __builtin_cpu_supports also asks XGETBV whether the system saves the wide registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The hardware threads that share a core with `cpu`, as the kernel writes them; the number itself
/// where the kernel does not say.
std::string core_of(int cpu) {
  const std::string siblings = first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                          "/topology/thread_siblings_list");
  return siblings.empty() ? std::to_string(cpu) : siblings;
}

int cores_in_affinity_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &mask)) cores.insert(core_of(cpu));
  return std::max(1, static_cast<int>(cores.size()));
}

/// CPUs that a "quota period" pair allows, rounded up; a large number when there is no limit.
int quota_cpus(double quota, double period) {
  constexpr int kUnlimited = 1 << 20;
  if (quota <= 0 || period <= 0) return kUnlimited;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

int cgroup_v2_quota(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string quota;
  double period = 0;
  line >> quota >> period;
  return quota_cpus(std::strtod(quota.c_str(), nullptr), period);
}

int cgroup_v1_quota() {
  const std::string folder = "/sys/fs/cgroup/cpu/";
  return quota_cpus(std::strtod(first_line(folder + "cpu.cfs_quota_us").c_str(), nullptr),
                    std::strtod(first_line(folder + "cpu.cfs_period_us").c_str(), nullptr));
}

/// The folder of this process in the unified hierarchy, "" when there is none.
std::string cgroup_folder() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return "/sys/fs/cgroup" + line.substr(3);
  return {};
}

int cgroup_quota() {
  int cpus = std::min(cgroup_v2_quota("/sys/fs/cgroup"), cgroup_v1_quota());
  const std::string root = "/sys/fs/cgroup";
  // Every level may set a limit; the tightest holds.
  for (std::string folder = cgroup_folder(); folder.size() > root.size();
       folder.resize(folder.rfind('/')))
    cpus = std::min(cpus, cgroup_v2_quota(folder));
  return cpus;
}

}  // namespace

std::vector<IsaName> runnable_isas() {
  std::vector<IsaName> isas;
  if (has_avx512_bf16()) isas.push_back({Isa::kAvx512Bf16, "avx512bf16", "cpu-avx512bf16"});
  if (has_avx512()) isas.push_back({Isa::kAvx512, "avx512", "cpu-avx512vnni"});
  if (has_avx2()) isas.push_back({Isa::kAvx2, "avx2", "cpu-avx2"});
  return isas;
}

int usable_cores() { return std::min(cores_in_affinity_mask(), cgroup_quota()); }

}  // namespace bundle::kernels::cpu
