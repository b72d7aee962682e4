// Ranks as threads, for tests.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/comm/shared_memory.h"

namespace bundle::comm {

/// Ends of one memory, a rank each. Throws BadResult when it cannot be made: a test's failure.
std::vector<std::unique_ptr<Communicator>> make_ranks(int ranks,
                                                      std::size_t ring_bytes = 128u << 10,
                                                      const SharedOptions& options = {});

/// Runs `body` on a thread for each rank, and gives back when all have ended. A rank whose body
/// throws aborts the others; the first rank's exception comes out.
void run_ranks(std::vector<std::unique_ptr<Communicator>>& ranks,
               const std::function<void(Communicator&)>& body);
void run_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace bundle::comm
