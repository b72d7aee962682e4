#include "runtime/comm/shared_endpoint.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <fcntl.h>
#include <linux/futex.h>
#include <memory>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/comm/shared_memory.h"

namespace bundle::comm {
namespace {

/// Looks at a bell before going to sleep on it: the others answer sooner than the kernel wakes.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

/// Memory is shared between processes, so these are not the private kind of futex.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen,
                std::chrono::milliseconds limit) {
  const timespec time{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &time, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

/// The lock that says that a rank lives: its byte of the file.
struct flock lock_of(std::size_t rank) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(rank);
  lock.l_len = 1;
  return lock;
}

int usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/// Maps the memory after checking that it is what make_shared_memory made.
Result<std::pair<std::byte*, SharedLayout>> map(const Fd& file) {
  const Error foreign = bad_input("the memory for ranks is not one of this version");
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot look at the memory for ranks");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size < sizeof(SharedHead)) return foreign;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return system_error("cannot map the memory for ranks");
  const auto* head = static_cast<const SharedHead*>(at);
  const SharedLayout layout{head->ranks, head->ring_bytes};
  const bool ours = head->magic == kSharedMagic && layout.ranks >= 1 &&
                    layout.ranks <= kMostRanks && layout.ring_bytes <= size &&
                    layout.bytes() == size;
  if (ours) return std::pair(static_cast<std::byte*>(at), layout);
  ::munmap(at, size);
  return foreign;
}

}  // namespace

Result<std::unique_ptr<SharedEndpoint>> SharedEndpoint::join(const Fd& memory, int rank,
                                                             std::chrono::milliseconds patience) {
  // Locks belong to an opening of the file, so each rank opens it anew.
  const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return system_error("cannot open the memory for ranks");
  BUNDLE_TRY(const auto mapped, map(file));
  const auto [at, layout] = mapped;
  // From here on the endpoint unmaps.
  std::unique_ptr<SharedEndpoint> endpoint(
      new SharedEndpoint(std::move(file), at, layout, static_cast<std::size_t>(rank), patience));
  if (rank < 0 || endpoint->own() >= layout.ranks) {
    endpoint->disown();
    return Error{ErrorCode::kUsage, "there is no rank " + std::to_string(rank) + " of " +
                                        std::to_string(layout.ranks)};
  }
  struct flock lock = lock_of(endpoint->own());
  const bool taken = ::fcntl(endpoint->file_.get(), F_OFD_SETLK, &lock) != 0;
  if (taken || endpoint->place(endpoint->own()).state.load() != SharedRank::kNotYet) {
    endpoint->disown();
    return Error{ErrorCode::kUsage, name_of(static_cast<std::size_t>(rank)) + " has joined before"};
  }
  endpoint->place(endpoint->own()).state.store(SharedRank::kHere);
  return endpoint;
}

SharedEndpoint::SharedEndpoint(Fd file, std::byte* memory, SharedLayout layout, std::size_t rank,
                               std::chrono::milliseconds patience)
    : Endpoint(layout.ranks, rank, patience),
      file_(std::move(file)),
      memory_(memory),
      layout_(layout),
      spins_(usable_cores() >= static_cast<int>(layout.ranks)) {}

SharedEndpoint::~SharedEndpoint() {
  if (own() < layout_.ranks) {
    place(own()).state.store(SharedRank::kGone);
    for (std::size_t other = 0; other < layout_.ranks; ++other) ring_bell(other);
  }
  ::munmap(memory_, layout_.bytes());
}

SharedRank& SharedEndpoint::place(std::size_t rank) const {
  return *reinterpret_cast<SharedRank*>(memory_ + layout_.rank_at(rank));
}

SharedRing& SharedEndpoint::ring(std::size_t from, std::size_t to) const {
  return *reinterpret_cast<SharedRing*>(memory_ + layout_.ring_at(layout_.pair(from, to)));
}

std::byte* SharedEndpoint::buffer(std::size_t from, std::size_t to) const {
  return memory_ + layout_.buffer_at(layout_.pair(from, to));
}

void SharedEndpoint::ring_bell(std::size_t rank) const {
  SharedRank& other = place(rank);
  other.bell.fetch_add(1);
  if (other.sleeping.load() != 0) futex_wake(other.bell);
}

/// Copies as much as there is room for. Whoever reads the ring is told.
Result<std::size_t> SharedEndpoint::write(std::size_t to, Bytes bytes) {
  SharedRing& ring = this->ring(own(), to);
  const std::uint64_t written = ring.written.load(std::memory_order_relaxed);
  const std::uint64_t waiting = written - ring.read.load(std::memory_order_acquire);
  if (waiting > layout_.ring_bytes) return failed(name_of(to) + " spoilt the shared memory");
  const std::size_t count = std::min(bytes.size(), layout_.ring_bytes - waiting);
  if (count == 0) return count;
  const std::size_t at = written & (layout_.ring_bytes - 1);
  const std::size_t first = std::min(count, layout_.ring_bytes - at);
  std::memcpy(buffer(own(), to) + at, bytes.data(), first);
  std::memcpy(buffer(own(), to), bytes.data() + first, count - first);
  ring.written.store(written + count, std::memory_order_release);
  ring_bell(to);
  return count;
}

/// Copies what is there. Whoever writes the ring is told.
Result<std::size_t> SharedEndpoint::read(std::size_t from, std::span<std::byte> bytes) {
  SharedRing& ring = this->ring(from, own());
  const std::uint64_t taken = ring.read.load(std::memory_order_relaxed);
  const std::uint64_t waiting = ring.written.load(std::memory_order_acquire) - taken;
  if (waiting > layout_.ring_bytes) return failed(name_of(from) + " spoilt the shared memory");
  const std::size_t count = std::min<std::size_t>(bytes.size(), waiting);
  if (count == 0) return count;
  const std::size_t at = taken & (layout_.ring_bytes - 1);
  const std::size_t first = std::min(count, layout_.ring_bytes - at);
  std::memcpy(bytes.data(), buffer(from, own()) + at, first);
  std::memcpy(bytes.data() + first, buffer(from, own()), count - first);
  ring.read.store(taken + count, std::memory_order_release);
  ring_bell(from);
  return count;
}

bool SharedEndpoint::has_come(std::size_t from) {
  const SharedRing& ring = this->ring(from, own());
  return ring.written.load(std::memory_order_acquire) != ring.read.load(std::memory_order_relaxed);
}

/// Until the bell rings, or it is time to look around.
void SharedEndpoint::nap(std::uint32_t seen) {
  SharedRank& self = place(own());
  for (int i = 0; spins_ && i < kSpins; ++i) {
    if (self.bell.load(std::memory_order_relaxed) != seen) return;
    relax();
  }
  self.sleeping.store(1);
  futex_wait(self.bell, seen, kNap);
  self.sleeping.store(0);
}

bool SharedEndpoint::gone(std::size_t rank) {
  const std::uint32_t state = place(rank).state.load();
  if (state != SharedRank::kHere) return state == SharedRank::kGone;
  struct flock lock = lock_of(rank);
  return ::fcntl(file_.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

void SharedEndpoint::tell(const Error& why) {
  SharedAbort& shared = head().abort;
  std::uint32_t none = SharedAbort::kNone;
  if (!shared.state.compare_exchange_strong(none, SharedAbort::kBeingWritten)) return;
  const std::string text = name_of(own()) + ": " + why.message();
  shared.code = static_cast<std::int32_t>(why.code);
  text.copy(shared.what.data(), shared.what.size() - 1);
  shared.state.store(SharedAbort::kWritten);
  for (std::size_t other = 0; other < layout_.ranks; ++other) ring_bell(other);
}

std::optional<Error> SharedEndpoint::told() {
  const SharedAbort& shared = head().abort;
  if (shared.state.load() != SharedAbort::kWritten) return std::nullopt;
  const std::size_t size = ::strnlen(shared.what.data(), shared.what.size());
  Error error{ErrorCode::kFailed, std::string(shared.what.data(), size)};
  if (shared.code >= 1 && shared.code <= 5) error.code = static_cast<ErrorCode>(shared.code);
  return error;
}

}  // namespace bundle::comm
