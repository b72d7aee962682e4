// The calls of a Communicator over an endpoint, whatever its bytes travel through.
#pragma once

#include <memory>

#include "runtime/comm/communicator.h"
#include "runtime/comm/endpoint.h"

namespace bundle::comm {

/// The group of all of the endpoint's ranks.
std::unique_ptr<Communicator> make_communicator(std::shared_ptr<Endpoint> endpoint);

}  // namespace bundle::comm
