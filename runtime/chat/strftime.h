// datetime.now().strftime(format) for a given clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::chat {

/// `now`: seconds since 1970, in UTC. Names are English. An error when the result would be longer
/// than 4096 bytes.
Result<std::string> format_time(std::string_view format, std::int64_t now);

}  // namespace bundle::chat
