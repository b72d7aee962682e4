// What the backend's host code asks of a GPU: memory, copies, streams, events and graphs. The GPU's
// implementation lies in libbundle_cuda.so beside the kernels; the emulator is another. Plain types
// only, so that the shared object and a machine with the CUDA toolkit alone need nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernels/cuda/lane/stream.h"

namespace bundle::kernels::cuda {

struct DeviceFacts {
  char name[256] = "";
  int sm = 0;  // compute capability: 90 for 9.0
  int multiprocessors = 0;
  std::size_t total_bytes = 0;
  std::size_t free_bytes = 0;
  std::size_t l2_bytes = 0;
  std::size_t shared_bytes = 0;  // that a block may have
};

/// What memory is for: kernels may read weights before the kernel ahead of them has ended.
enum class MemoryKind { kWeights, kWork };

using Event = void*;
using Graph = void*;

/// One GPU's context. Calls come from one thread. A failed call makes status() say why, forever:
/// what is queued later does nothing of use.
class Driver {
 public:
  virtual ~Driver() = default;

  virtual DeviceFacts facts() const = 0;
  /// Null while all went well.
  virtual const char* status() const = 0;

  /// Device memory, 256-byte aligned; null when it does not suffice, which is no failure.
  virtual void* allocate(std::size_t bytes, MemoryKind kind) = 0;
  virtual void free(void* memory) = 0;
  /// Page-locked host memory: copies from and to it run beside the host. Null when it is refused.
  virtual void* allocate_host(std::size_t bytes) = 0;
  virtual void free_host(void* memory) = 0;

  virtual Stream make_stream() = 0;
  virtual void free_stream(Stream stream) = 0;
  virtual void wait(Stream stream) = 0;
  /// Host memory must stay as it is until the copy is done.
  virtual void copy_in(Stream stream, void* device, const void* host, std::size_t bytes) = 0;
  virtual void copy_out(Stream stream, void* host, const void* device, std::size_t bytes) = 0;
  virtual void copy_within(Stream stream, void* to, const void* from, std::size_t bytes) = 0;
  /// Rows of `bytes` each, which begin so many bytes apart.
  virtual void copy_rows(Stream stream, void* to, std::size_t to_apart, const void* from,
                         std::size_t from_apart, std::size_t bytes, std::size_t rows) = 0;
  virtual void fill(Stream stream, void* device, int byte, std::size_t bytes) = 0;

  virtual Event make_event() = 0;
  virtual void free_event(Event event) = 0;
  virtual void record(Event event, Stream stream) = 0;
  /// The host waits for what was queued before the event was recorded.
  virtual void wait_event(Event event) = 0;
  /// Whether wait_event() would return at once; true after a failure.
  virtual bool reached(Event event) = 0;
  /// What is queued from now on waits for it.
  virtual void follow(Stream stream, Event event) = 0;
  /// Between two events that were waited for.
  virtual float milliseconds(Event from, Event to) = 0;

  /// What is queued from here to end_capture() is kept and not run.
  virtual void begin_capture(Stream stream) = 0;
  /// Null when it can not be made into a graph.
  virtual Graph end_capture(Stream stream) = 0;
  virtual void replay(Graph graph, Stream stream) = 0;
  virtual void free_graph(Graph graph) = 0;
};

}  // namespace bundle::kernels::cuda
