// W3C Trace Context: which trace a request belongs to. (https://www.w3.org/TR/trace-context/)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/server/message.h"

namespace bundle::server {

struct TraceContext {
  std::string trace_id;        // 32 lower-case hex digits
  std::string span_id;         // 16: of our span
  std::string parent_span_id;  // of the caller's; "" for the root
  std::string state;           // tracestate, as it came
  bool sampled = true;
};

/// The trace that `traceparent` names, else a new one; a field that is malformed counts as absent,
/// as the standard asks.
TraceContext trace_of(const HttpRequest& request);

}  // namespace bundle::server
