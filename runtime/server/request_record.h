// What is known of one request when it is over: for the access log and for traces. Never a prompt,
// never an answer's text, never a key.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "runtime/server/trace_context.h"

namespace bundle::server {

/// Of the generation, where there was one. Times in seconds; -1: it did not come so far.
struct GenerationRecord {
  std::string model = {};
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  double queued = -1;       // in the engine's queue
  double first_token = -1;  // from the request's arrival
  double last_token = -1;   // the same
  std::string finish = {};  // "stop", "length", "deadline", "abort", "error"
  bool streamed = false;
};

struct RequestRecord {
  std::chrono::system_clock::time_point arrived = {};
  double seconds = 0;  // until the last byte was handed to the kernel
  std::string id = {};
  std::string key = {};   // name of the API key; "": none
  std::string peer = {};  // address
  std::string method = {};
  std::string path = {};   // without the query
  std::string route = {};  // the pattern that it matched; "": none
  int status = 0;
  std::uint64_t bytes = 0;   // sent
  bool client_left = false;  // before the answer was whole
  bool generated = false;
  GenerationRecord generation = {};
  TraceContext trace = {};
};

}  // namespace bundle::server
