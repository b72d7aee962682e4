// One rank's end of the shared memory: moves bytes through the rings, many ways at once, and waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "runtime/comm/shared_layout.h"

namespace bundle::comm {

/// What a call is for. Both sides of a transfer must mean the same.
enum class Purpose : std::uint32_t { kSum, kGather, kExchange, kBroadcast, kMessage, kBarrier };

/// Goes before the bytes of every transfer, so that ranks whose calls do not match find out.
struct TransferHead {
  Purpose purpose = Purpose::kMessage;
  std::uint32_t reserved = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(TransferHead) == 16);

/// Bytes on their way to or from one other rank.
struct Outgoing {
  int to = 0;
  Bytes bytes;
  std::size_t sent = 0;  // of the head and the bytes behind it
};
struct Incoming {
  int from = 0;
  std::span<std::byte> bytes;
  std::size_t received = 0;
  TransferHead head = {};
};

/// Not thread-safe. Ranks are those of the whole memory.
class Endpoint {
 public:
  /// As join_shared_memory.
  static Result<std::unique_ptr<Endpoint>> join(const Fd& memory, int rank,
                                                std::chrono::milliseconds patience);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  /// Leaves: ranks that wait for this one end with an error.
  ~Endpoint();

  int rank() const { return static_cast<int>(rank_); }
  int ranks() const { return static_cast<int>(layout_.ranks); }

  /// Moves all of it, in and out, in whatever order the others allow: so ranks that send to each
  /// other never wait in a circle. At most one transfer a direction and rank.
  Status exchange(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in);
  Status await(int from);
  void abort(const Error& why);
  Status health() const;
  Status check_ranks();

 private:
  using Clock = std::chrono::steady_clock;

  Endpoint(Fd file, std::byte* memory, SharedLayout layout, std::size_t rank,
           std::chrono::milliseconds patience);

  /// What came of one look at all transfers.
  struct Round {
    bool moved = false;
    std::optional<std::size_t> waits_for = {};  // a rank whose transfer is not done
    std::optional<std::size_t> missing = {};    // the same, and it is no longer there
  };

  SharedHead& head() const { return *reinterpret_cast<SharedHead*>(memory_); }
  SharedRank& place(std::size_t rank) const;
  SharedRing& ring(std::size_t from, std::size_t to) const;
  std::byte* buffer(std::size_t from, std::size_t to) const;

  Result<Round> move(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in);
  Result<bool> push(Purpose purpose, Outgoing& transfer);
  Result<bool> pull(Purpose purpose, Incoming& transfer);
  Status check_head(Purpose purpose, const Incoming& transfer) const;
  Result<std::size_t> write(std::size_t to, Bytes bytes);
  Result<std::size_t> read(std::size_t from, std::span<std::byte> bytes);
  void ring_bell(std::size_t rank) const;
  void nap(std::uint32_t seen);
  bool gone(std::size_t rank) const;
  Status check_abort();
  Status fail(Error error);

  Fd file_;  // of this rank alone: it holds the rank's lock
  std::byte* memory_ = nullptr;
  SharedLayout layout_;
  std::size_t rank_ = 0;
  std::chrono::milliseconds patience_;
  bool spins_ = false;
  std::optional<Error> failure_;
};

}  // namespace bundle::comm
