// A stream of bytes from one writer to one reader through memory that two processes share. Neither
// trusts the other: positions are checked before they are used, and bytes are copied out before
// anyone looks at them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace bundle::launch {

/// The shared part: how many bytes were written and read since the start. Each counter is written
/// by one side only, and lies on a cache line of its own.
struct RingCounters {
  alignas(64) std::atomic<std::uint64_t> written{0};
  alignas(64) std::atomic<std::uint64_t> read{0};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// The writer's end. One thread at a time.
class RingWriter {
 public:
  /// `counters` and `buffer`, whose size is a power of two, must outlive it.
  RingWriter(RingCounters& counters, std::span<std::byte> buffer)
      : counters_(&counters), buffer_(buffer) {}

  /// Copies as much of `bytes` as there is room for and says how much that was. kFailed when the
  /// reader's counter lies.
  Result<std::size_t> write(Bytes bytes);
  bool full() const;

 private:
  RingCounters* counters_;
  std::span<std::byte> buffer_;
  std::uint64_t written_ = 0;  // our own counter: the shared one is for the reader
};

/// The reader's end. One thread at a time.
class RingReader {
 public:
  RingReader(RingCounters& counters, std::span<const std::byte> buffer)
      : counters_(&counters), buffer_(buffer) {}

  /// Copies what is there, at most `out`, and says how much that was. kFailed when the writer's
  /// counter lies.
  Result<std::size_t> read(std::span<std::byte> out);
  bool empty() const;

 private:
  RingCounters* counters_;
  std::span<const std::byte> buffer_;
  std::uint64_t read_ = 0;
};

}  // namespace bundle::launch
