// What the server sends out of its own accord: documents for a webhook, spans for a collector.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace bundle::server {

/// Posts a JSON document to an http or https address, over a connection of its own and by way of
/// the environment's proxy (web_address.h), and gives the answer's status. A redirect is an answer
/// and is not followed. All of it takes `limit` at most. kBadInput for an address that is none,
/// kUnreachable when there is no answer in time or the certificate is not trusted. Thread-safe.
Result<int> post_json(const std::string& url, std::string document,
                      std::chrono::milliseconds limit);

}  // namespace bundle::server
