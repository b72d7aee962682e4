// All outgoing HTTP: requests with time limits, whole answers or streamed ones (libcurl).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bundle {

/// Fills `room` bytes at `buffer` with the next of a body and says how many it wrote.
using FillHttpBody = std::function<std::size_t(char* buffer, std::size_t room)>;

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  FillHttpBody fill_body = {};  // instead of `body`: `body_size` bytes, as they are sent
  std::uint64_t body_size = 0;  // of fill_body
  std::string ca_file = {};     // PEM; "" takes SSL_CERT_FILE, else the system's
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds timeout{0};   // of the whole exchange; 0: none
  std::chrono::seconds stall_timeout{0};  // without a byte either way; 0: none
  std::uint64_t max_body = 64u << 20;     // of the answer, when it is kept
  std::string client_cert_file = {};      // PEM, with client_key_file: who we are
  std::string client_key_file = {};
  /// Asked every so often while the exchange lasts; false ends it. May be empty.
  std::function<bool()> keep_going = {};
  bool insecure = false;  // the server's certificate is not checked: where a person said so
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  /// The first header of that (lower-case) name, or "".
  std::string_view header(std::string_view name) const;
};

/// Takes each piece of a 2xx body as it comes; returning false ends the exchange.
using OnHttpData = std::function<bool(std::string_view piece)>;
/// Called once before the first piece of a body, with status and headers; returning false ends the
/// exchange.
using OnHttpHead = std::function<bool(const HttpResponse& head)>;

/// A client that keeps its connections open between requests. Never follows a redirect. Proxies are
/// those of http_proxy, https_proxy and no_proxy; loopback is always reached directly. Not
/// thread-safe.
class HttpClient {
 public:
  HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  /// One exchange. kUnreachable when the server cannot be reached, breaks off, or is too slow;
  /// kInterrupted when a callback ends it. An HTTP error status is an answer, not an error.
  /// With on_data a 2xx body is handed to it and not kept; other bodies are kept.
  Result<HttpResponse> send(const HttpRequest& request, const OnHttpData& on_data = {},
                            const OnHttpHead& on_head = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One exchange on a connection of its own. Thread-safe.
Result<HttpResponse> http_request(const HttpRequest& request);
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
