// How ranks of several machines come together: all go to the first one, which checks them and hands
// out everybody's address; then each calls those below it and is called by those above.
#pragma once

#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "runtime/comm/tcp.h"

namespace bundle::comm {

/// A connected socket to each other rank, at that rank's place. As join_group.
Result<std::vector<Fd>> meet(const GroupPlace& place, const TcpOptions& options);

}  // namespace bundle::comm
