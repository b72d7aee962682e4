// How long a request may take, as its sender says: X-Request-Timeout-Ms, from its arrival to its
// last token, queue included.
#pragma once

#include <chrono>
#include <optional>

#include "runtime/server/message.h"

namespace bundle::server {

inline constexpr std::string_view kTimeoutField = "x-request-timeout-ms";

/// None when the field is not there, or no whole number from 1 to a day.
std::optional<std::chrono::milliseconds> requested_timeout(const HttpRequest& request);

}  // namespace bundle::server
