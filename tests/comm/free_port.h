// A port for a test's own listener.
#pragma once

#include <cstdint>

namespace bundle::comm {

/// A port of loopback that nobody listens on. Throws when there is none.
std::uint16_t free_port();

}  // namespace bundle::comm
