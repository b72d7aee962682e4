// Ranks as threads, for tests.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/comm/shared_memory.h"
#include "runtime/comm/tcp.h"

namespace bundle::comm {

/// What ties the ranks to each other.
enum class Tie { kSharedMemory, kTcp };

inline const char* name_of(Tie tie) { return tie == Tie::kTcp ? "Tcp" : "SharedMemory"; }

/// Ends of one group, a rank each. Throws BadResult when it cannot be made: a test's failure.
std::vector<std::unique_ptr<Communicator>> make_ranks(int ranks,
                                                      std::size_t ring_bytes = 128u << 10,
                                                      const SharedOptions& options = {});
std::vector<std::unique_ptr<Communicator>> make_tcp_ranks(int ranks, int nodes,
                                                          const TcpOptions& options = {});
/// The same, of either kind; over TCP every rank is a machine.
std::vector<std::unique_ptr<Communicator>> make_ranks(Tie tie, int ranks,
                                                      const SharedOptions& options = {});

/// Runs `body` on a thread for each rank, and gives back when all have ended. A rank whose body
/// throws aborts the others; the first rank's exception comes out.
void run_ranks(std::vector<std::unique_ptr<Communicator>>& ranks,
               const std::function<void(Communicator&)>& body);
void run_ranks(Tie tie, int ranks, const std::function<void(Communicator&)>& body);

}  // namespace bundle::comm
