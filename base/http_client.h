// All outgoing HTTP: requests with time limits, whole answers or streamed ones (libcurl).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bundle {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds timeout{0};  // of the whole exchange; 0: none
  std::uint64_t max_body = 64u << 20;    // of the answer, when it is kept
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
};

/// One exchange. kUnreachable when the server cannot be reached, breaks off, or is too slow.
/// An HTTP error status is an answer, not an error. Thread-safe.
Result<HttpResponse> http_request(const HttpRequest& request);

/// The same, but hands each piece of a 2xx body to `on_data` as it comes and keeps none of it;
/// returning false ends the exchange with kInterrupted. Other bodies are kept.
using OnHttpData = std::function<bool(std::string_view piece)>;
Result<HttpResponse> http_stream(const HttpRequest& request, const OnHttpData& on_data);

/// Splits a byte stream into the data of server-sent events. Not thread-safe.
class EventStreamParser {
 public:
  /// Calls `on_event` with each event's data (lines joined by newline); stops when it returns
  /// false, and then returns false.
  bool push(std::string_view piece, const std::function<bool(std::string_view data)>& on_event);

 private:
  std::string line_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace bundle
