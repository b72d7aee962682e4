// The driver interface over CUDA's runtime, which is linked into the shared object; the GPU's
// driver library (libcuda.so.1) must be loaded before.
#include <cstdio>
#include <cstring>
#include <cuda_runtime.h>
#include <string>

#include "runtime/kernels/cuda/driver/backend.h"
#include "runtime/kernels/cuda/driver/nccl.h"

namespace bundle::kernels::cuda {
namespace {

cudaStream_t of_stream(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t of_event(Event event) { return static_cast<cudaEvent_t>(event); }

class GpuDriver final : public Driver {
 public:
  explicit GpuDriver(int device) : device_(device) { check(cudaSetDevice(device), "open"); }

  DeviceFacts facts() const override {
    DeviceFacts facts;
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, device_) == cudaSuccess) {
      std::snprintf(facts.name, sizeof facts.name, "%s", properties.name);
      facts.sm = properties.major * 10 + properties.minor;
      facts.multiprocessors = properties.multiProcessorCount;
      facts.shared_bytes = properties.sharedMemPerBlockOptin;
      facts.l2_bytes = static_cast<std::size_t>(properties.l2CacheSize);
    }
    cudaMemGetInfo(&facts.free_bytes, &facts.total_bytes);
    return facts;
  }

  /// Launches report through the runtime's last error, so that is asked here too.
  const char* status() const override {
    check(cudaGetLastError(), "kernel launch");
    return problem_.empty() ? nullptr : problem_.c_str();
  }

  void* allocate(std::size_t bytes, MemoryKind) override {
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not a failure of the context
      return nullptr;
    }
    check(error, "allocation");
    return memory;
  }
  void free(void* memory) override { check(cudaFree(memory), "free"); }
  void* allocate_host(std::size_t bytes) override {
    void* memory = nullptr;
    if (cudaMallocHost(&memory, bytes) == cudaSuccess) return memory;
    cudaGetLastError();
    return nullptr;
  }
  void free_host(void* memory) override { check(cudaFreeHost(memory), "free"); }

  Stream make_stream() override {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    return stream;
  }
  void free_stream(Stream stream) override {
    check(cudaStreamDestroy(of_stream(stream)), "stream");
  }
  void wait(Stream stream) override { check(cudaStreamSynchronize(of_stream(stream)), "wait"); }
  void copy_in(Stream stream, void* device, const void* host, std::size_t bytes) override {
    copy(stream, device, host, bytes, cudaMemcpyHostToDevice);
  }
  void copy_out(Stream stream, void* host, const void* device, std::size_t bytes) override {
    copy(stream, host, device, bytes, cudaMemcpyDeviceToHost);
  }
  void copy_within(Stream stream, void* to, const void* from, std::size_t bytes) override {
    copy(stream, to, from, bytes, cudaMemcpyDeviceToDevice);
  }
  void copy_rows(Stream stream, void* to, std::size_t to_apart, const void* from,
                 std::size_t from_apart, std::size_t bytes, std::size_t rows) override {
    if (bytes == 0 || rows == 0) return;
    check(cudaMemcpy2DAsync(to, to_apart, from, from_apart, bytes, rows, cudaMemcpyDeviceToDevice,
                            of_stream(stream)),
          "copy");
  }
  void fill(Stream stream, void* device, int byte, std::size_t bytes) override {
    check(cudaMemsetAsync(device, byte, bytes, of_stream(stream)), "fill");
  }

  Event make_event() override {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "event");
    return event;
  }
  void free_event(Event event) override { check(cudaEventDestroy(of_event(event)), "event"); }
  void record(Event event, Stream stream) override {
    check(cudaEventRecord(of_event(event), of_stream(stream)), "event");
  }
  void wait_event(Event event) override { check(cudaEventSynchronize(of_event(event)), "wait"); }
  bool reached(Event event) override {
    const cudaError_t error = cudaEventQuery(of_event(event));
    if (error == cudaErrorNotReady) return false;
    check(error, "event");
    return true;
  }
  void follow(Stream stream, Event event) override {
    check(cudaStreamWaitEvent(of_stream(stream), of_event(event)), "wait");
  }
  float milliseconds(Event from, Event to) override {
    float time = 0.0f;
    check(cudaEventElapsedTime(&time, of_event(from), of_event(to)), "event");
    return time;
  }

  void begin_capture(Stream stream) override {
    check(cudaStreamBeginCapture(of_stream(stream), cudaStreamCaptureModeRelaxed), "capture");
  }
  Graph end_capture(Stream stream) override {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t made = nullptr;
    if (cudaStreamEndCapture(of_stream(stream), &graph) == cudaSuccess) {
      if (cudaGraphInstantiate(&made, graph, 0) != cudaSuccess) made = nullptr;
      cudaGraphDestroy(graph);
    }
    if (made == nullptr) cudaGetLastError();  // the step runs plainly instead
    return made;
  }
  void replay(Graph graph, Stream stream) override {
    check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), of_stream(stream)), "graph");
  }
  void free_graph(Graph graph) override {
    check(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)), "graph");
  }

 private:
  void copy(Stream stream, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, of_stream(stream)), "copy");
  }
  void check(cudaError_t error, const char* what) const {
    if (error == cudaSuccess || !problem_.empty()) return;
    problem_ = std::string(what) + ": " + cudaGetErrorString(error);
  }

  int device_;
  mutable std::string problem_;
};

int driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int device_count(char* problem, std::size_t size) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  std::snprintf(problem, size, "%s",
                error == cudaSuccess ? "no GPU is visible" : cudaGetErrorString(error));
  return 0;
}

Driver* open(int device, char* problem, std::size_t size) {
  auto* driver = new GpuDriver(device);
  if (driver->status() == nullptr) return driver;
  std::snprintf(problem, size, "%s", driver->status());
  delete driver;
  return nullptr;
}

constexpr Backend kBackend{kBackendVersion, driver_version,   device_count, open,
                           &kOps,           &kNcclCollectives};

}  // namespace
}  // namespace bundle::kernels::cuda

extern "C" __attribute__((visibility("default"))) const bundle::kernels::cuda::Backend*
bundle_cuda_backend() {
  return &bundle::kernels::cuda::kBackend;
}
