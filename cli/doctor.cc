// bundle doctor: can this machine build and serve?
#include <cstdio>
#include <filesystem>
#include <sys/statvfs.h>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "cli/gpu_probe.h"
#include "cli/memory_bandwidth.h"
#include "cli/server_command.h"
#include "packager/store.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/cuda/load_backend.h"

namespace bundle::cli {
namespace {

/// One finding. `state` is "ok", "warning" or "problem".
struct Check {
  std::string name;
  std::string state;
  std::string finding;
  std::string remedy = {};
};

Check check_cpu() {
  const auto isas = kernels::available_isas();
  if (isas.empty()) {
    return {"cpu", "problem", "no AVX2, FMA and F16C",
            "The CPU backend needs them; use a machine of 2013 or later."};
  }
  std::string names;
  for (const std::string& isa : isas) names += (names.empty() ? "" : ", ") + isa;
  return {"cpu", "ok",
          names + "; " + std::to_string(std::thread::hardware_concurrency()) + " cores"};
}

Check check_memory() {
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto free_pages = static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {"memory", "ok",
          human_bytes(pages * page) + ", " + human_bytes(free_pages * page) + " free"};
}

Check check_bandwidth() {
  const int threads =
      static_cast<int>(std::min(4u, std::max(1u, std::thread::hardware_concurrency())));
  char text[64];
  std::snprintf(text, sizeof text, "reads %.1f GB/s with %d threads",
                read_bandwidth_gb_s(threads, 3), threads);
  return {"memory bandwidth", "ok", text};
}

Check check_disk() {
  const Path home = bundle_home();
  Path present = home;
  while (!std::filesystem::exists(present) && present.has_parent_path())
    present = present.parent_path();
  struct statvfs info {};
  if (::statvfs(present.c_str(), &info) != 0)
    return {"disk", "problem", "cannot look at " + home.string()};
  const std::uint64_t free_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  const bool little = free_bytes < 10'000'000'000;
  return {"disk", little ? "warning" : "ok", human_bytes(free_bytes) + " free at " + home.string(),
          little ? "Large models need more; set BUNDLE_HOME to another disk." : ""};
}

Check check_store() {
  const auto store = packager::Store::open();
  if (!store) return {"store", "problem", store.error().what, store.error().remedy};
  const auto bundles = store->list();
  if (!bundles) return {"store", "problem", bundles.error().what, bundles.error().remedy};
  for (const auto& bundle : *bundles) {
    if (!bundle.damage.empty()) {
      return {"store", "warning", bundle.name + ": " + bundle.damage, "Remove and build it again."};
    }
  }
  return {"store", "ok", std::to_string(bundles->size()) + " bundles at " + store->root().string()};
}

Check check_server() {
  const Path server = sibling_program("bundle-server");
  if (::access(server.c_str(), X_OK) == 0) return {"server", "ok", server.string()};
  return {"server", "problem", "no bundle-server beside this program",
          "Install the whole product."};
}

Check check_gpu() {
  const LocalGpus local = local_gpus();
  const kernels::cuda::GpuReport usable = kernels::cuda::find_gpus();
  if (!local.problem.empty()) {
    return {"gpu", "warning", local.problem,
            "Is the driver's kernel module loaded? See nvidia-smi."};
  }
  if (local.gpus.empty()) {
    return {"gpu", "ok", "no NVIDIA GPU: models run on the CPU", usable.problem.remedy};
  }
  std::string finding;
  for (const LocalGpu& gpu : local.gpus) {
    finding += (finding.empty() ? "" : ", ") + gpu.name + " (" + human_bytes(gpu.memory) + ")";
  }
  finding += "; driver " + local.driver;
  if (usable.usable()) return {"gpu", "ok", finding};
  return {"gpu", "warning", finding + ", but models run on the CPU: " + usable.problem.what,
          usable.problem.remedy};
}

Result<Outcome> doctor() {
  JsonArray list;
  std::vector<std::vector<std::string>> rows;
  bool healthy = true;
  for (const Check& check : {check_cpu(), check_memory(), check_bandwidth(), check_disk(),
                             check_store(), check_server(), check_gpu()}) {
    healthy = healthy && check.state != "problem";
    list.emplace_back(JsonObject{{"name", check.name},
                                 {"state", check.state},
                                 {"finding", check.finding},
                                 {"remedy", check.remedy}});
    rows.push_back({check.name, check.state,
                    check.finding + (check.remedy.empty() ? "" : ". " + check.remedy)});
  }
  Outcome outcome;
  outcome.document = JsonObject{{"healthy", healthy}, {"checks", std::move(list)}};
  outcome.text = table({"CHECK", "STATE", "FINDING"}, rows);
  outcome.exit_code = healthy ? 0 : 1;
  return outcome;
}

}  // namespace

void add_doctor(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "doctor", "Check whether this machine can build and serve",
                                  "Exit code 1 when something stands in the way.\n\nExample:\n"
                                  "  bundle doctor --output json");
  on_run(command, session, doctor);
}

}  // namespace bundle::cli
