#include "runtime/comm/endpoint.h"

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
/// A sleeper looks around that often for ranks that died.
constexpr auto kNap = std::chrono::milliseconds(50);
constexpr std::size_t kHeadBytes = sizeof(TransferHead);

std::string name_of(std::size_t rank) { return "rank " + std::to_string(rank); }

const char* word(Purpose purpose) {
  switch (purpose) {
    case Purpose::kSum:
      return "a sum";
    case Purpose::kGather:
      return "a gathering";
    case Purpose::kExchange:
      return "an exchange";
    case Purpose::kBroadcast:
      return "a broadcast";
    case Purpose::kMessage:
      return "a message";
    case Purpose::kBarrier:
      return "a barrier";
  }
  return "something unknown";
}

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

Result<std::unique_ptr<Endpoint>> Endpoint::join(const Fd& memory, int rank,
                                                 std::chrono::milliseconds patience) {
  // Locks belong to an opening of the file, so each rank opens it anew.
  const std::string path = "/proc/self/fd/" + std::to_string(memory.get());
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return system_error("cannot open the memory for ranks");
  BUNDLE_TRY(const auto mapped, map(file));
  const auto [at, layout] = mapped;
  // From here on the endpoint unmaps.
  std::unique_ptr<Endpoint> endpoint(
      new Endpoint(std::move(file), at, layout, static_cast<std::size_t>(rank), patience));
  if (rank < 0 || endpoint->rank_ >= layout.ranks) {
    endpoint->rank_ = layout.ranks;
    return Error{ErrorCode::kUsage, "there is no rank " + std::to_string(rank) + " of " +
                                        std::to_string(layout.ranks)};
  }
  struct flock lock = lock_of(endpoint->rank_);
  const bool taken = ::fcntl(endpoint->file_.get(), F_OFD_SETLK, &lock) != 0;
  if (taken || endpoint->place(endpoint->rank_).state.load() != SharedRank::kNotYet) {
    endpoint->rank_ = layout.ranks;
    return Error{ErrorCode::kUsage, name_of(static_cast<std::size_t>(rank)) + " has joined before"};
  }
  endpoint->place(endpoint->rank_).state.store(SharedRank::kHere);
  return endpoint;
}

Endpoint::Endpoint(Fd file, std::byte* memory, SharedLayout layout, std::size_t rank,
                   std::chrono::milliseconds patience)
    : file_(std::move(file)),
      memory_(memory),
      layout_(layout),
      rank_(rank),
      patience_(patience),
      spins_(usable_cores() >= static_cast<int>(layout.ranks)) {}

Endpoint::~Endpoint() {
  if (rank_ < layout_.ranks) {
    place(rank_).state.store(SharedRank::kGone);
    for (std::size_t other = 0; other < layout_.ranks; ++other) ring_bell(other);
  }
  ::munmap(memory_, layout_.bytes());
}

SharedRank& Endpoint::place(std::size_t rank) const {
  return *reinterpret_cast<SharedRank*>(memory_ + layout_.rank_at(rank));
}

SharedRing& Endpoint::ring(std::size_t from, std::size_t to) const {
  return *reinterpret_cast<SharedRing*>(memory_ + layout_.ring_at(layout_.pair(from, to)));
}

std::byte* Endpoint::buffer(std::size_t from, std::size_t to) const {
  return memory_ + layout_.buffer_at(layout_.pair(from, to));
}

void Endpoint::ring_bell(std::size_t rank) const {
  SharedRank& other = place(rank);
  other.bell.fetch_add(1);
  if (other.sleeping.load() != 0) futex_wake(other.bell);
}

/// Copies as much as there is room for. Whoever reads the ring is told.
Result<std::size_t> Endpoint::write(std::size_t to, Bytes bytes) {
  SharedRing& ring = this->ring(rank_, to);
  const std::uint64_t written = ring.written.load(std::memory_order_relaxed);
  const std::uint64_t waiting = written - ring.read.load(std::memory_order_acquire);
  if (waiting > layout_.ring_bytes) return failed(name_of(to) + " spoilt the shared memory");
  const std::size_t count = std::min(bytes.size(), layout_.ring_bytes - waiting);
  if (count == 0) return count;
  const std::size_t at = written & (layout_.ring_bytes - 1);
  const std::size_t first = std::min(count, layout_.ring_bytes - at);
  std::memcpy(buffer(rank_, to) + at, bytes.data(), first);
  std::memcpy(buffer(rank_, to), bytes.data() + first, count - first);
  ring.written.store(written + count, std::memory_order_release);
  ring_bell(to);
  return count;
}

/// Copies what is there. Whoever writes the ring is told.
Result<std::size_t> Endpoint::read(std::size_t from, std::span<std::byte> bytes) {
  SharedRing& ring = this->ring(from, rank_);
  const std::uint64_t taken = ring.read.load(std::memory_order_relaxed);
  const std::uint64_t waiting = ring.written.load(std::memory_order_acquire) - taken;
  if (waiting > layout_.ring_bytes) return failed(name_of(from) + " spoilt the shared memory");
  const std::size_t count = std::min<std::size_t>(bytes.size(), waiting);
  if (count == 0) return count;
  const std::size_t at = taken & (layout_.ring_bytes - 1);
  const std::size_t first = std::min(count, layout_.ring_bytes - at);
  std::memcpy(bytes.data(), buffer(from, rank_) + at, first);
  std::memcpy(bytes.data() + first, buffer(from, rank_), count - first);
  ring.read.store(taken + count, std::memory_order_release);
  ring_bell(from);
  return count;
}

/// True when something went out.
Result<bool> Endpoint::push(Purpose purpose, Outgoing& transfer) {
  const auto to = static_cast<std::size_t>(transfer.to);
  const std::size_t before = transfer.sent;
  if (transfer.sent < kHeadBytes) {
    const TransferHead head{purpose, 0, transfer.bytes.size()};
    BUNDLE_TRY(const std::size_t n,
               write(to, std::as_bytes(std::span(&head, 1)).subspan(transfer.sent)));
    transfer.sent += n;
  }
  if (transfer.sent >= kHeadBytes) {
    BUNDLE_TRY(const std::size_t n, write(to, transfer.bytes.subspan(transfer.sent - kHeadBytes)));
    transfer.sent += n;
  }
  return transfer.sent > before;
}

/// True when something came in.
Result<bool> Endpoint::pull(Purpose purpose, Incoming& transfer) {
  const auto from = static_cast<std::size_t>(transfer.from);
  const std::size_t before = transfer.received;
  if (transfer.received < kHeadBytes) {
    const auto head = std::as_writable_bytes(std::span(&transfer.head, 1));
    BUNDLE_TRY(const std::size_t n, read(from, head.subspan(transfer.received)));
    transfer.received += n;
    if (transfer.received == kHeadBytes) BUNDLE_CHECK(check_head(purpose, transfer));
  }
  if (transfer.received >= kHeadBytes) {
    BUNDLE_TRY(const std::size_t n,
               read(from, transfer.bytes.subspan(transfer.received - kHeadBytes)));
    transfer.received += n;
  }
  return transfer.received > before;
}

Status Endpoint::check_head(Purpose purpose, const Incoming& transfer) const {
  const TransferHead& head = transfer.head;
  if (head.purpose == purpose && head.bytes == transfer.bytes.size()) return {};
  return failed("ranks disagree: " + name_of(static_cast<std::size_t>(transfer.from)) + " sent " +
                std::to_string(head.bytes) + " bytes of " + word(head.purpose) + " where " +
                name_of(rank_) + " expects " + std::to_string(transfer.bytes.size()) + " of " +
                word(purpose));
}

/// Moves what can be moved without waiting.
Result<Endpoint::Round> Endpoint::move(Purpose purpose, std::span<Outgoing> out,
                                       std::span<Incoming> in) {
  Round round;
  const auto note = [&](std::size_t done, std::size_t bytes, bool any, int other) {
    round.moved |= any;
    if (done == kHeadBytes + bytes) return;
    round.waits_for = static_cast<std::size_t>(other);
    if (!any && gone(*round.waits_for)) round.missing = round.waits_for;
  };
  for (Outgoing& transfer : out) {
    BUNDLE_TRY(const bool any, push(purpose, transfer));
    note(transfer.sent, transfer.bytes.size(), any, transfer.to);
  }
  for (Incoming& transfer : in) {
    BUNDLE_TRY(const bool any, pull(purpose, transfer));
    note(transfer.received, transfer.bytes.size(), any, transfer.from);
  }
  return round;
}

Status Endpoint::exchange(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in) {
  BUNDLE_CHECK(check_abort());
  auto last_move = Clock::now();
  for (;;) {
    const std::uint32_t seen = place(rank_).bell.load();
    const auto round = move(purpose, out, in);
    if (!round) return fail(round.error());
    if (!round->waits_for) return {};
    if (round->moved) {
      last_move = Clock::now();
      continue;
    }
    BUNDLE_CHECK(check_abort());
    // What a rank sent before it went may have come since: then the bell rang, and we look again.
    if (round->missing && place(rank_).bell.load() == seen) {
      return fail(failed(name_of(*round->missing) + " is gone"));
    }
    if (Clock::now() - last_move > patience_) {
      return fail(failed(name_of(*round->waits_for) + " did not answer for " +
                         std::to_string(patience_.count()) + " ms"));
    }
    nap(seen);
  }
}

Status Endpoint::await(int from) {
  const auto other = static_cast<std::size_t>(from);
  const SharedRing& ring = this->ring(other, rank_);
  for (;;) {
    const std::uint32_t seen = place(rank_).bell.load();
    BUNDLE_CHECK(check_abort());
    const bool left = gone(other);
    if (ring.written.load(std::memory_order_acquire) != ring.read.load(std::memory_order_relaxed)) {
      return {};
    }
    if (left) return fail(failed(name_of(other) + " is gone"));
    nap(seen);
  }
}

/// Until the bell rings, or it is time to look around.
void Endpoint::nap(std::uint32_t seen) {
  SharedRank& self = place(rank_);
  for (int i = 0; spins_ && i < kSpins; ++i) {
    if (self.bell.load(std::memory_order_relaxed) != seen) return;
    relax();
  }
  self.sleeping.store(1);
  futex_wait(self.bell, seen, kNap);
  self.sleeping.store(0);
}

/// Whether a rank has been here and left, or died. One that has not come yet is waited for.
bool Endpoint::gone(std::size_t rank) const {
  const std::uint32_t state = place(rank).state.load();
  if (state != SharedRank::kHere) return state == SharedRank::kGone;
  struct flock lock = lock_of(rank);
  return ::fcntl(file_.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

void Endpoint::abort(const Error& why) {
  SharedAbort& shared = head().abort;
  std::uint32_t none = SharedAbort::kNone;
  if (shared.state.compare_exchange_strong(none, SharedAbort::kBeingWritten)) {
    const std::string text = name_of(rank_) + ": " + why.message();
    shared.code = static_cast<std::int32_t>(why.code);
    text.copy(shared.what.data(), shared.what.size() - 1);
    shared.state.store(SharedAbort::kWritten);
    for (std::size_t other = 0; other < layout_.ranks; ++other) ring_bell(other);
  }
  if (!failure_) failure_ = why;
}

Status Endpoint::check_abort() {
  if (failure_) return *failure_;
  const SharedAbort& shared = head().abort;
  if (shared.state.load() != SharedAbort::kWritten) return {};
  const std::size_t size = ::strnlen(shared.what.data(), shared.what.size());
  failure_ = Error{ErrorCode::kFailed, std::string(shared.what.data(), size)};
  if (shared.code >= 1 && shared.code <= 5) failure_->code = static_cast<ErrorCode>(shared.code);
  return *failure_;
}

/// Remembers the error, and ends the other ranks too.
Status Endpoint::fail(Error error) {
  abort(error);
  return *failure_;
}

Status Endpoint::check_ranks() {
  BUNDLE_CHECK(check_abort());
  for (std::size_t rank = 0; rank < layout_.ranks; ++rank) {
    if (rank != rank_ && gone(rank)) return fail(failed(name_of(rank) + " is gone"));
  }
  return {};
}

Status Endpoint::health() const {
  if (failure_) return *failure_;
  return {};
}

}  // namespace bundle::comm
