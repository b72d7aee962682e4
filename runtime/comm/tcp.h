// Ranks on several machines: they meet at the first rank's address, make sure that they belong to
// one group and have the same before them, and then each holds a TCP connection to each other.
//
// What travels is signed while they meet, and neither signed nor encrypted afterwards: groups
// belong on a network of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/comm/communicator.h"

namespace bundle::comm {

/// What a rank knows of its group before it meets the others.
struct GroupPlace {
  int rank = 0;
  int ranks = 1;
  int nodes = 1;  // machines; the ranks divide evenly over them, in order
  /// Where rank 0 listens: on this address where it is a number, else on all that it has.
  std::string leader_host = {};
  std::uint16_t leader_port = 0;
  /// This machine's address in the group; "": the one that it reaches the leader from.
  std::string own_host = {};
  std::string token = {};  // the same on all machines
  /// What must be the same on all ranks: name and value, for people to read.
  std::vector<std::pair<std::string, std::string>> facts = {};
};

struct TcpOptions {
  /// Longest wait for another rank within one call, await() aside.
  std::chrono::milliseconds patience{120'000};
  /// Longest wait for all ranks to come.
  std::chrono::milliseconds meeting{120'000};
  /// Told about once a second who is waited for, and for how many seconds; of an unknown total.
  Progress progress = {};
  /// Told who was refused, and who left again; seldom more than once a second.
  std::function<void(const std::string&)> warn = {};
};

/// Becomes rank `place.rank` of the group once all of its ranks have come. kUnreachable when one
/// does not in time, or goes while they meet: they may try again. kUsage or kBadInput when the
/// group is another one than this rank's (its size, a fact, the token), said by name on both sides;
/// the leader goes on waiting for the right one. kInterrupted when progress asks for it.
Result<std::unique_ptr<Communicator>> join_group(const GroupPlace& place,
                                                 const TcpOptions& options = {});

}  // namespace bundle::comm
