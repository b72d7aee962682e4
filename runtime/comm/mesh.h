// The connections of one rank of a group to all others but the first, once that one has said where
// they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "runtime/comm/conversation.h"
#include "runtime/comm/introduction.h"
#include "runtime/comm/reception.h"
#include "runtime/comm/teller.h"

namespace bundle::comm {

/// Calls the ranks below this one, and is called by those above, all at once. Not thread-safe.
class Mesh {
 public:
  /// `place` and `table` must outlive it. `listener` is empty where no rank is above this one;
  /// `leader_host` is where ranks are that are on the first one's machine.
  Mesh(const GroupPlace& place, const Table& table, std::string leader_host, Fd listener)
      : place_(place),
        table_(table),
        leader_host_(std::move(leader_host)),
        listener_(std::move(listener)) {}

  /// `leader` is the connection to the first rank. A connected socket to each other rank, at that
  /// rank's place; kUnreachable when one is not reached in time or leaves.
  Result<std::vector<Fd>> run(Fd leader, Teller& teller);

 private:
  struct Talk {
    int rank;
    Conversation conversation;
  };

  Status call(int below);
  void wait(const std::optional<Reception>& reception) const;
  Status hear_answers();
  void answer(Guest guest, Teller& teller);
  Status finish_answers();
  void seat(int rank, Conversation& conversation);

  const GroupPlace& place_;
  const Table& table_;
  std::string leader_host_;
  Fd listener_;
  std::vector<Fd> sockets_;
  std::vector<Talk> calls_, answers_;
  int missing_ = 0;
};

}  // namespace bundle::comm
