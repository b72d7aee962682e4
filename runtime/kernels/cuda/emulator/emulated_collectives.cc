#include "runtime/kernels/cuda/emulator/emulated_collectives.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include "runtime/comm/shared_memory.h"
#include "runtime/kernels/cuda/emulator/stream.h"

namespace bundle::kernels::cuda {
namespace {

using emulator::EmulatedStream;

std::span<std::byte> span_of(const Parcel& parcel) {
  return {static_cast<std::byte*>(parcel.memory), parcel.bytes};
}

class EmulatedCollectives final : public Collectives {
 public:
  explicit EmulatedCollectives(std::unique_ptr<comm::Communicator> ranks)
      : ranks_(std::move(ranks)) {}

  const char* status() const override { return problem_.empty() ? nullptr : problem_.c_str(); }

  void all_reduce(Stream stream, float* values, std::size_t count) override {
    check(stream, values, count * sizeof(float));
    queue(stream, [=](comm::Communicator& ranks) { return ranks.all_reduce({values, count}); });
  }
  void all_gather(Stream stream, const void* part, void* all, std::size_t bytes) override {
    const std::size_t whole = bytes * static_cast<std::size_t>(ranks_->size());
    check(stream, part, bytes);
    check(stream, all, whole);
    queue(stream, [=](comm::Communicator& ranks) {
      return ranks.all_gather({static_cast<const std::byte*>(part), bytes},
                              {static_cast<std::byte*>(all), whole});
    });
  }
  void broadcast(Stream stream, void* memory, std::size_t bytes, int root) override {
    check(stream, memory, bytes);
    queue(stream, [=](comm::Communicator& ranks) {
      return ranks.broadcast({static_cast<std::byte*>(memory), bytes}, root);
    });
  }
  void exchange(Stream stream, const Parcel* out, std::size_t out_count, const Parcel* in,
                std::size_t in_count) override {
    for (const Parcel& p : std::span(out, out_count)) check(stream, p.memory, p.bytes);
    for (const Parcel& p : std::span(in, in_count)) check(stream, p.memory, p.bytes);
    std::vector<Parcel> sent(out, out + out_count), awaited(in, in + in_count);
    queue(stream, [sent, awaited](comm::Communicator& ranks) -> Status {
      if (awaited.empty() && sent.size() == 1) return ranks.send(span_of(sent[0]), sent[0].rank);
      if (sent.empty() && awaited.size() == 1) {
        return ranks.receive(span_of(awaited[0]), awaited[0].rank);
      }
      const auto size = static_cast<std::size_t>(ranks.size());
      std::vector<Bytes> parts(size);
      std::vector<std::span<std::byte>> received(size);
      for (const Parcel& p : sent) parts[static_cast<std::size_t>(p.rank)] = span_of(p);
      for (const Parcel& p : awaited) received[static_cast<std::size_t>(p.rank)] = span_of(p);
      return ranks.all_to_all(parts, received);
    });
  }

  void abort() override {
    ranks_->abort(failed("the group was given up"));
    keep(ranks_->health());
  }

 private:
  using Work = std::function<Status(comm::Communicator&)>;

  void queue(Stream stream, Work work) {
    static_cast<EmulatedStream*>(stream)->queue([this, work = std::move(work)] {
      if (problem_.empty()) keep(work(*ranks_));
    });
  }
  void keep(const Status& status) {
    if (!status && problem_.empty()) problem_ = status.error().message();
  }
  /// A rank's memory is its own GPU's.
  static void check(Stream stream, const void* memory, std::size_t bytes) {
    if (bytes == 0) return;
    const auto* found = static_cast<EmulatedStream*>(stream)->machine().memory().find(memory);
    if (found != nullptr && bytes <= found->end - reinterpret_cast<std::uintptr_t>(memory)) return;
    std::fputs("emulated collectives: memory that is not this GPU's\n", stderr);
    std::abort();  // it would spoil the host's memory
  }

  std::unique_ptr<comm::Communicator> ranks_;
  std::string problem_;
};

bool tell(const Error& error, char* problem, std::size_t size) {
  std::snprintf(problem, size, "%s", error.message().c_str());
  return false;
}

/// The name is where the system shows this process's descriptor, which stays open: ranks may come
/// late.
bool make_id(int ranks, GroupId* id, char* problem, std::size_t size) {
  static std::mutex mutex;
  static std::vector<Fd> kept;
  auto memory = comm::make_shared_memory(ranks);
  if (!memory) return tell(memory.error(), problem, size);
  std::snprintf(id->bytes, sizeof id->bytes, "/proc/%d/fd/%d", ::getpid(), memory->get());
  const std::lock_guard lock(mutex);
  kept.push_back(*std::move(memory));
  return true;
}

Collectives* join(const GroupId& id, int rank, int, char* problem, std::size_t size) {
  const Fd memory(::open(id.bytes, O_RDWR | O_CLOEXEC));
  auto ranks = comm::join_shared_memory(memory, rank);
  if (ranks) return new EmulatedCollectives(*std::move(ranks));
  tell(ranks.error(), problem, size);
  return nullptr;
}

}  // namespace

const CollectiveTable kEmulatedCollectives{make_id, join};

}  // namespace bundle::kernels::cuda
