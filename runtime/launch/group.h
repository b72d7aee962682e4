// The machines that serve one model together: what a server is told of them, and what its ranks
// are.
#pragma once

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/comm/tcp.h"
#include "runtime/launch/arguments.h"
#include "runtime/launch/contract.h"
#include "runtime/launch/runtime_settings.h"

namespace bundle::launch {

/// As one of its machines sees it.
struct Group {
  int nodes = 1;
  int node_rank = 0;  // 0 leads: it takes requests
  std::string leader_host;
  std::uint16_t leader_port = 0;
  std::string own_host;  // "": the address that reaches the leader
  std::string token;

  bool alone() const { return nodes == 1; }
  bool leads() const { return node_rank == 0; }
  /// "machine 2 of 3".
  std::string name() const;
};

/// Reads --nodes and what belongs to it; with `--nodes auto` what is not given comes from the
/// variables of LeaderWorkerSet or Slurm. kUsage when something is missing or contradicts itself,
/// and where there is no token but the address is not one of loopback.
Result<Group> read_group(const Arguments& arguments);

/// What every machine of the group must have alike, and how its ranks find each other, for
/// EngineProcessOptions::group; "" for a machine by itself. Reads a little of each of the model's
/// files. kUsage when the ranks do not divide evenly over the machines.
Result<std::string> group_document(const Group& group, const LaunchSpec& spec,
                                   const RuntimeSettings& settings);

/// The same in a rank's process, from a descriptor. Without the rank.
Result<comm::GroupPlace> read_group_document(int fd);

/// Tells `progress`, and the log now and then, who is waited for; the log also who was refused.
comm::TcpOptions meeting_options(const Progress& progress);

}  // namespace bundle::launch
