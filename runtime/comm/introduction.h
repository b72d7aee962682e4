// What ranks say when they meet, as JSON: untrusted until it is read here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/comm/tcp.h"

namespace bundle::comm {

/// A rank's to the leader.
struct Introduction {
  GroupPlace place;          // rank, ranks, nodes and facts alone
  std::uint16_t port = 0;    // where it listens for ranks above it; 0: there are none
  bool with_leader = false;  // it is on the leader's machine, and listens where that does
};

std::string encode(const Introduction& introduction);
Result<Introduction> decode_introduction(const std::string& text);

/// Where a rank listens for those above it.
struct PeerAddress {
  std::string host;  // "": the leader's machine
  std::uint16_t port = 0;
};

/// The leader's to all: this meeting's own name, and each rank's address, the leader's left empty.
struct Table {
  std::string meeting;
  std::vector<PeerAddress> peers;
};

std::string encode(const Table& table);
/// With exactly `ranks` addresses.
Result<Table> decode_table(const std::string& text, int ranks);

/// A rank's to another one below it.
struct Call {
  std::string meeting;
  int rank = 0;
};

std::string encode(const Call& call);
Result<Call> decode_call(const std::string& text);

/// "machine 2 of 3".
std::string machine_of(const GroupPlace& group, int rank);

/// What keeps a rank that says this of itself out of `group`. The error names what differs.
Status check_introduction(const GroupPlace& group, const Introduction& guest);

}  // namespace bundle::comm
