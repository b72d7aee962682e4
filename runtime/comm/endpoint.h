// One rank's end of whatever ties it to the others: moves bytes many ways at once, and waits. How
// bytes travel is for those below it (shared_endpoint.h, tcp_endpoint.h); what a call means, who is
// waited for and how calls fail is written once, here.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

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

/// "rank 3".
std::string name_of(std::size_t rank);

/// Not thread-safe. Ranks are those of the whole group.
class Endpoint {
 public:
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  /// Leaves: ranks that wait for this one end with an error.
  virtual ~Endpoint() = default;

  int rank() const { return static_cast<int>(rank_); }
  int ranks() const { return static_cast<int>(ranks_); }

  /// Moves all of it, in and out, in whatever order the others allow: so ranks that send to each
  /// other never wait in a circle. At most one transfer a direction and rank.
  Status exchange(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in);
  Status await(int from);
  void abort(const Error& why);
  /// Looks around without waiting: also a rank that nobody waits for may have gone.
  Status health();

 protected:
  Endpoint(std::size_t ranks, std::size_t rank, std::chrono::milliseconds patience)
      : ranks_(ranks), rank_(rank), patience_(patience) {}

  std::size_t own() const { return rank_; }
  std::size_t count() const { return ranks_; }
  /// For an endpoint that turns out to be no rank's.
  void disown() { rank_ = ranks_; }

 private:
  using Clock = std::chrono::steady_clock;

  /// What came of one look at all transfers.
  struct Round {
    bool moved = false;
    std::optional<std::size_t> waits_for = {};  // a rank whose transfer is not done
    std::optional<std::size_t> missing = {};    // the same, and it is no longer there
  };

  /// Takes as many bytes as there is room for, without waiting.
  virtual Result<std::size_t> write(std::size_t to, Bytes bytes) = 0;
  /// Hands over what was written; false while a part of it is still here.
  virtual Result<bool> hand_over(std::size_t to) = 0;
  /// Gives what has come, without waiting.
  virtual Result<std::size_t> read(std::size_t from, std::span<std::byte> bytes) = 0;
  /// Whether something has come that was not read.
  virtual bool has_come(std::size_t from) = 0;
  /// Whether a rank has been here and left, or died. One that has not come yet is waited for.
  virtual bool gone(std::size_t rank) = 0;
  /// To be called before looking at transfers; nap() returns at once where anything has happened
  /// since.
  virtual std::uint32_t look() = 0;
  /// Until something happens, or it is time to look around: at most about `kNap`.
  virtual void nap(std::uint32_t seen) = 0;
  /// Tells every other rank why all are to end, unless they were told before.
  virtual void tell(const Error& why) = 0;
  /// What another rank told.
  virtual std::optional<Error> told() = 0;

  Result<Round> move(Purpose purpose, std::span<Outgoing> out, std::span<Incoming> in);
  Result<bool> push(Purpose purpose, Outgoing& transfer);
  Result<bool> pull(Purpose purpose, Incoming& transfer);
  Status check_head(Purpose purpose, const Incoming& transfer) const;
  Status check_abort();
  Status fail(Error error);

  std::size_t ranks_;
  std::size_t rank_;
  std::chrono::milliseconds patience_;
  std::optional<Error> failure_;
};

/// A sleeper looks around that often for ranks that died.
inline constexpr auto kNap = std::chrono::milliseconds(50);

}  // namespace bundle::comm
