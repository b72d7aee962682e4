// The gateway's side towards a replica: one exchange, relayed as its bytes come.
#pragma once

#include <string>
#include <string_view>

#include "runtime/gateway/pool.h"
#include "runtime/server/message.h"

namespace bundle::gateway {

/// The request as the replica is sent it: hop-by-hop fields are dropped, the body has a length, and
/// the connection ends with the answer. As HTTP/1.0 the answer comes without chunks.
std::string upstream_request(const server::HttpRequest& request, const Backend& backend,
                             bool as_http_1_0);

/// The status code of an answer's first bytes, or 0 when they do not hold a whole status line.
int status_of(std::string_view head);

/// Whether an answer's head may be passed on: a status line, fields that are fields, no control
/// characters, and one way alone to say how long the body is.
bool is_sound_head(std::string_view head);

/// Bytes up to and with the blank line, or npos.
std::size_t head_length(std::string_view bytes);

}  // namespace bundle::gateway
