#include "runtime/kernels/cuda/emulator/emulated_driver.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/kernels/cuda/emulator/stream.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {
namespace {

using emulator::EmulatedStream;

EmulatedStream& of(Stream stream) { return *static_cast<EmulatedStream*>(stream); }

class EmulatedDriver final : public Driver {
 public:
  explicit EmulatedDriver(const EmulatorOptions& options) : sm_(options.sm) {
    machine_.set_seed(options.seed);
    machine_.memory().set_limit(options.memory_bytes);
  }

  emulator::Machine& machine() { return machine_; }

  DeviceFacts facts() const override {
    DeviceFacts facts;
    std::strcpy(facts.name, "emulated GPU");
    facts.sm = sm_;
    facts.multiprocessors = 4;
    facts.shared_bytes = kFewSharedBytes;
    facts.total_bytes = machine_.memory().limit();
    facts.free_bytes = facts.total_bytes - machine_.memory().used();
    facts.l2_bytes = std::size_t{1} << 20;
    return facts;
  }
  const char* status() const override {
    if (!problem_.empty()) return problem_.c_str();
    return machine_.error().empty() ? nullptr : machine_.error().c_str();
  }

  void* allocate(std::size_t bytes, MemoryKind kind) override {
    return machine_.memory().allocate(bytes, kind == MemoryKind::kWeights);
  }
  void free(void* memory) override {
    if (memory != nullptr && !machine_.memory().free(memory)) fail("freed memory is no allocation");
  }
  void* allocate_host(std::size_t bytes) override { return std::malloc(bytes); }
  void free_host(void* memory) override { std::free(memory); }

  Stream make_stream() override { return new EmulatedStream(machine_); }
  void free_stream(Stream stream) override { delete &of(stream); }
  void wait(Stream) override {}
  void copy_in(Stream stream, void* device, const void* host, std::size_t bytes) override {
    check(device, bytes);
    of(stream).queue([=] { std::memcpy(device, host, bytes); });
  }
  void copy_out(Stream stream, void* host, const void* device, std::size_t bytes) override {
    check(device, bytes);
    of(stream).queue([=] { std::memcpy(host, device, bytes); });
  }
  void copy_within(Stream stream, void* to, const void* from, std::size_t bytes) override {
    check(to, bytes);
    check(from, bytes);
    of(stream).queue([=] { std::memmove(to, from, bytes); });
  }
  void copy_rows(Stream stream, void* to, std::size_t to_apart, const void* from,
                 std::size_t from_apart, std::size_t bytes, std::size_t rows) override {
    if (bytes == 0 || rows == 0) return;
    check(to, (rows - 1) * to_apart + bytes);
    check(from, (rows - 1) * from_apart + bytes);
    of(stream).queue([=] {
      for (std::size_t row = 0; row < rows; ++row) {
        std::memcpy(static_cast<std::byte*>(to) + row * to_apart,
                    static_cast<const std::byte*>(from) + row * from_apart, bytes);
      }
    });
  }
  void fill(Stream stream, void* device, int byte, std::size_t bytes) override {
    check(device, bytes);
    of(stream).queue([=] { std::memset(device, byte, bytes); });
  }

  Event make_event() override { return new char; }
  void free_event(Event event) override { delete static_cast<char*>(event); }
  void record(Event, Stream) override {}
  void wait_event(Event) override {}
  bool reached(Event) override { return true; }
  void follow(Stream, Event) override {}
  float milliseconds(Event, Event) override { return 1.0f; }

  void begin_capture(Stream stream) override { of(stream).begin_capture(); }
  Graph end_capture(Stream stream) override {
    return new emulator::Graph(of(stream).end_capture());
  }
  void replay(Graph graph, Stream) override {
    for (const auto& work : *static_cast<emulator::Graph*>(graph)) work();
  }
  void free_graph(Graph graph) override { delete static_cast<emulator::Graph*>(graph); }

 private:
  void fail(const char* problem) {
    if (problem_.empty()) problem_ = problem;
  }
  void check(const void* memory, std::size_t bytes) {
    if (bytes == 0) return;
    const auto* found = machine_.memory().find(memory);
    const auto start = reinterpret_cast<std::uintptr_t>(memory);
    if (found == nullptr || bytes > found->end - start) {
      fail("a copy reaches outside of device memory");
      std::abort();  // it would spoil the host's memory
    }
  }

  mutable emulator::Machine machine_;
  std::string problem_;
  int sm_;
};

}  // namespace

std::unique_ptr<Driver> make_emulated_driver(const EmulatorOptions& options) {
  return std::make_unique<EmulatedDriver>(options);
}

emulator::Machine& machine_of(Driver& driver) {
  return static_cast<EmulatedDriver&>(driver).machine();
}

}  // namespace bundle::kernels::cuda
