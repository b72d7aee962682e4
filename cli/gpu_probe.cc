#include "cli/gpu_probe.h"

#include <dlfcn.h>

namespace bundle::cli {
namespace {

// NVML's C interface, as far as it is used (stable since NVML 5).
using Device = void*;
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
constexpr int kSuccess = 0;
constexpr unsigned kNameBytes = 96;

class Nvml {
 public:
  Nvml() : library_(::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {}
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml() {
    if (started_) call<int()>("nvmlShutdown");
    if (library_ != nullptr) ::dlclose(library_);
  }

  bool is_there() const { return library_ != nullptr; }
  bool start() {
    started_ = call<int()>("nvmlInit_v2") == kSuccess;
    return started_;
  }

  std::string driver() const {
    char version[kNameBytes] = {};
    const int code =
        call<int(char*, unsigned)>("nvmlSystemGetDriverVersion", version, kNameBytes - 1);
    return code == kSuccess ? version : "";
  }

  unsigned count() const {
    unsigned found = 0;
    return call<int(unsigned*)>("nvmlDeviceGetCount_v2", &found) == kSuccess ? found : 0;
  }

  bool describe(unsigned index, LocalGpu& gpu) const {
    Device device = nullptr;
    if (call<int(unsigned, Device*)>("nvmlDeviceGetHandleByIndex_v2", index, &device) != kSuccess) {
      return false;
    }
    char name[kNameBytes] = {};
    Memory memory{};
    call<int(Device, char*, unsigned)>("nvmlDeviceGetName", device, name, kNameBytes - 1);
    if (call<int(Device, Memory*)>("nvmlDeviceGetMemoryInfo", device, &memory) != kSuccess) {
      return false;
    }
    call<int(Device, int*, int*)>("nvmlDeviceGetCudaComputeCapability", device,
                                  &gpu.capability_major, &gpu.capability_minor);
    gpu.name = name;
    gpu.memory = memory.total;
    gpu.free = memory.free;
    return true;
  }

 private:
  /// Calls a function by name; a failure code when the library lacks it.
  template <typename Signature, typename... Arguments>
  int call(const char* name, Arguments... arguments) const {
    auto* function = reinterpret_cast<Signature*>(::dlsym(library_, name));
    return function == nullptr ? -1 : function(arguments...);
  }

  void* library_;
  bool started_ = false;
};

}  // namespace

LocalGpus local_gpus() {
  LocalGpus found;
  Nvml nvml;
  if (!nvml.is_there()) return found;
  if (!nvml.start()) {
    found.problem = "the NVIDIA driver's library is here, but does not start";
    return found;
  }
  found.driver = nvml.driver();
  const unsigned count = nvml.count();
  for (unsigned i = 0; i < count; ++i) {
    LocalGpu gpu;
    if (nvml.describe(i, gpu)) {
      found.gpus.push_back(gpu);
    } else {
      found.problem = "GPU " + std::to_string(i) + " does not answer";
    }
  }
  return found;
}

}  // namespace bundle::cli
