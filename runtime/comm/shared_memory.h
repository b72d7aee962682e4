// Ranks that are threads of one process or processes of one machine: one piece of anonymous memory,
// with a bounded ring of bytes from each rank to each other.
//
// Whoever creates the memory hands its descriptor to every rank (threads share it, processes
// inherit it), and each rank joins once. Nothing is ever stored on disk, and the memory goes with
// the last rank. A rank holds a lock on its byte of the memory for as long as it lives, which the
// kernel releases however it ends: so the others notice a killed process within a fraction of a
// second.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "base/file.h"
#include "base/result.h"
#include "runtime/comm/communicator.h"

namespace bundle::comm {

/// Anonymous memory for `ranks` ranks. `ring_bytes`, a power of two of at least 64, is what a rank
/// may have sent to another that has not received it. kUsage for other numbers.
Result<Fd> make_shared_memory(int ranks, std::size_t ring_bytes = 128u << 10);

struct SharedOptions {
  /// Longest wait for another rank within one call, await() aside.
  std::chrono::milliseconds patience{120'000};
};

/// Joins the ranks of `memory` as number `rank`; the descriptor may be closed afterwards. kBadInput
/// when the memory is none of make_shared_memory's, kUsage when the rank is out of range or taken.
Result<std::unique_ptr<Communicator>> join_shared_memory(const Fd& memory, int rank,
                                                         const SharedOptions& options = {});

}  // namespace bundle::comm
