// What lies in the memory that ranks share, byte by byte.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bundle::comm {

inline constexpr std::uint64_t kSharedMagic = 0x314d4d4f43444e42;  // "BNDCOMM1"

/// A rank's place. Other ranks ring its bell whenever they did what it may wait for.
struct alignas(64) SharedRank {
  enum State : std::uint32_t { kNotYet, kHere, kGone };
  std::atomic<std::uint32_t> bell{0};      // a futex
  std::atomic<std::uint32_t> sleeping{0};  // on the bell
  std::atomic<std::uint32_t> state{kNotYet};
};

/// Bytes written to and read from a ring since the start; each is written by one side only, and
/// lies on a cache line of its own.
struct SharedRing {
  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) std::atomic<std::uint64_t> read{0};
};

/// Why all ranks are to end. The first that enters writes.
struct SharedAbort {
  enum State : std::uint32_t { kNone, kBeingWritten, kWritten };
  std::atomic<std::uint32_t> state{kNone};
  std::int32_t code = 0;
  std::array<char, 1016> what = {};  // ends with a zero
};

/// The head. Behind it: a SharedRank for each rank, then a SharedRing for each pair (from, to),
/// then each pair's buffer.
struct alignas(64) SharedHead {
  std::uint64_t magic = kSharedMagic;
  std::uint64_t ranks = 0;
  std::uint64_t ring_bytes = 0;
  SharedAbort abort;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

/// Where things lie, from the start of the memory.
struct SharedLayout {
  std::size_t ranks = 0;
  std::size_t ring_bytes = 0;

  std::size_t rank_at(std::size_t rank) const {
    return sizeof(SharedHead) + rank * sizeof(SharedRank);
  }
  std::size_t pair(std::size_t from, std::size_t to) const { return from * ranks + to; }
  std::size_t ring_at(std::size_t pair) const { return rank_at(ranks) + pair * sizeof(SharedRing); }
  std::size_t buffer_at(std::size_t pair) const {
    return ring_at(ranks * ranks) + pair * ring_bytes;
  }
  std::size_t bytes() const { return buffer_at(ranks * ranks); }
};

}  // namespace bundle::comm
