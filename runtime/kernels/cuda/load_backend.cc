#include "runtime/kernels/cuda/load_backend.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>

#include "runtime/kernels/cuda/driver/backend.h"
#include "runtime/kernels/cuda/host/device_buffer.h"

namespace bundle::kernels::cuda {
namespace {

constexpr const char* kDriverName = "libcuda.so.1";
constexpr const char* kBackendName = "libbundle_cuda.so";
constexpr const char* kNeededDriver = "580";

/// Where Debian and Ubuntu, Red Hat, containers, WSL and NixOS put the driver's libraries.
constexpr const char* kDriverFolders[] = {"/usr/lib/x86_64-linux-gnu",
                                          "/usr/lib64",
                                          "/usr/lib/x86_64-linux-gnu/nvidia/current",
                                          "/usr/local/nvidia/lib64",
                                          "/usr/local/nvidia/lib",
                                          "/usr/lib/wsl/lib",
                                          "/run/opengl-driver/lib",
                                          "/usr/lib",
                                          "/usr/lib64/nvidia"};

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

Path environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? Path() : Path(value);
}

Path find_driver(const BackendPaths& paths) {
  for (const Path& folder : {paths.driver_folder, environment("BUNDLE_CUDA_DRIVER_DIR")}) {
    if (!folder.empty()) return is_there(folder / kDriverName) ? folder / kDriverName : Path();
  }
  for (const Path folder : kDriverFolders) {
    if (is_there(folder / kDriverName)) return folder / kDriverName;
  }
  return {};
}

Path find_backend(const BackendPaths& paths) {
  for (const Path& path : {paths.backend, environment("BUNDLE_CUDA_BACKEND")}) {
    if (!path.empty()) return is_there(path) ? path : Path();
  }
  std::error_code error;
  const Path program = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const Path& folder : {program.parent_path(), program.parent_path() / "../lib"}) {
    if (is_there(folder / kBackendName)) return folder / kBackendName;
  }
  return {};
}

/// "580.65.06" of "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  …".
std::string kernel_driver_version() {
  const auto text = read_file("/proc/driver/nvidia/version", 4096);
  if (!text) return {};
  const std::string_view line = std::string_view(*text).substr(0, text->find('\n'));
  for (std::size_t at = line.find("  "); at != line.npos; at = line.find(' ', at)) {
    at = line.find_first_not_of(' ', at);
    if (at == line.npos) return {};
    const std::string_view word = line.substr(at, line.find(' ', at) - at);
    if (word.find('.') != word.npos && word.front() >= '0' && word.front() <= '9') {
      return std::string(word);
    }
  }
  return {};
}

Error no_driver() {
  return not_found("no NVIDIA driver is installed", kDriverName,
                   fmt::format("To use a GPU, install NVIDIA's driver {} or newer; in a container, "
                               "start it with the GPU (--gpus all, or nvidia.com/gpu).",
                               kNeededDriver));
}

Error old_driver(const std::string& installed, int cuda_version) {
  return failed(
      fmt::format("the NVIDIA driver is too old: {} supports CUDA {}.{}, and CUDA 13.0 needs {}",
                  installed.empty() ? "the installed one" : installed, cuda_version / 1000,
                  cuda_version % 1000 / 10, kNeededDriver),
      "", fmt::format("Install driver {} or newer.", kNeededDriver));
}

/// Opened once and kept: neither library can be unloaded safely.
Result<void*> open_library(const Path& path, int flags) {
  void* library = ::dlopen(path.c_str(), flags);
  if (library != nullptr) return library;
  const char* reason = ::dlerror();
  return failed(fmt::format("cannot load the library: {}", reason == nullptr ? "?" : reason),
                path.string());
}

struct Loaded {
  const Backend* backend = nullptr;
  Path driver_library;
  Path backend_library;
  Error problem = {};
};

/// The two libraries, checked against each other; what is missing is the problem.
Loaded load(const BackendPaths& paths) {
  Loaded loaded{nullptr, find_driver(paths), find_backend(paths), {}};
  const auto give_up = [&](Error problem) {
    loaded.problem = std::move(problem);
    return loaded;
  };
  if (loaded.driver_library.empty()) return give_up(no_driver());
  if (loaded.backend_library.empty()) {
    return give_up(not_found("this product was built without the CUDA backend", kBackendName,
                             "Install the pack for CUDA, or build where nvcc is."));
  }
  // Its name must be found when the backend asks for it.
  if (auto driver = open_library(loaded.driver_library, RTLD_NOW | RTLD_GLOBAL); !driver) {
    return give_up(driver.error());
  }
  auto library = open_library(loaded.backend_library, RTLD_NOW | RTLD_LOCAL);
  if (!library) return give_up(library.error());
  const auto entry = reinterpret_cast<BackendFunction>(::dlsym(*library, kBackendSymbol));
  const Backend* backend = entry == nullptr ? nullptr : entry();
  if (backend == nullptr || backend->version != kBackendVersion) {
    return give_up(failed("the CUDA backend is of another version than this program",
                          loaded.backend_library.string(), "Install both from one release."));
  }
  if (const int version = backend->driver_version(); version < kLeastDriverVersion) {
    return give_up(old_driver(kernel_driver_version(), version));
  }
  loaded.backend = backend;
  return loaded;
}

Result<std::unique_ptr<Driver>> open_gpu(const Loaded& loaded, int gpu) {
  char problem[256] = "";
  std::unique_ptr<Driver> driver(loaded.backend->open(gpu, problem, sizeof problem));
  if (driver != nullptr) return driver;
  return failed(fmt::format("GPU {} cannot be used: {}", gpu, problem), "",
                "See what nvidia-smi says of it.");
}

Error no_gpu(const char* problem) {
  return not_found(fmt::format("the NVIDIA driver is there, but no GPU can be used: {}", problem),
                   "", "Check nvidia-smi, and CUDA_VISIBLE_DEVICES in the environment.");
}

}  // namespace

GpuReport find_gpus(const BackendPaths& paths) {
  const Loaded loaded = load(paths);
  GpuReport report{loaded.driver_library.string(),
                   kernel_driver_version(),
                   loaded.backend_library.string(),
                   {},
                   loaded.problem};
  if (loaded.backend == nullptr) return report;
  char problem[256] = "";
  const int count = loaded.backend->device_count(problem, sizeof problem);
  if (count == 0) report.problem = no_gpu(problem);
  for (int gpu = 0; gpu < count; ++gpu) {
    auto driver = open_gpu(loaded, gpu);
    if (!driver) {
      report.problem = driver.error();
      return report;
    }
    const DeviceFacts facts = (*driver)->facts();
    report.gpus.push_back({facts.name, facts.sm, facts.total_bytes, facts.free_bytes});
  }
  return report;
}

Result<std::unique_ptr<Device>> make_cuda_device(int gpu, const DeviceOptions& options,
                                                 const BackendPaths& paths) {
  const Loaded loaded = load(paths);
  if (loaded.backend == nullptr) return loaded.problem;
  char problem[256] = "";
  const int count = loaded.backend->device_count(problem, sizeof problem);
  if (count == 0) return no_gpu(problem);
  if (gpu < 0 || gpu >= count) {
    return Error{ErrorCode::kUsage,
                 fmt::format("there is no GPU {}: this process sees {}", gpu, count), "runtime.gpu",
                 "They are numbered from 0."};
  }
  BUNDLE_TRY(auto driver, open_gpu(loaded, gpu));
  return make_device(std::move(driver), *loaded.backend->ops, options, loaded.backend->collectives);
}

}  // namespace bundle::kernels::cuda
