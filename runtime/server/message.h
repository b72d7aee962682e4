// A request and a response as plain values: what endpoints see. No socket, no Beast.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::server {

class Client;

struct Field {
  std::string name;
  std::string value;
};

/// A request whose head passed check_head. Field names are in lower case.
struct HttpRequest {
  std::string method;
  std::string path;   // as sent, still percent-encoded, without the query
  std::string query;  // after '?', as sent
  std::vector<Field> fields;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
  std::string body = {};
  std::string id;  // x-request-id, the client's or ours
  std::chrono::steady_clock::time_point received = {};
  std::shared_ptr<Client> client = {};  // whose key it came with; null: none was needed

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
  /// The first field of that name (lower case), or "".
  std::string_view field(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<Field> fields = {};  // beside those that every response has
  bool close = false;              // the connection ends with it
};

/// Status line and fields up to the blank line. `length`: of the body; none: it is sent in chunks
/// (or, to HTTP/1.0, until the connection closes).
std::string response_head(const HttpResponse& response, const HttpRequest& request, bool close,
                          std::optional<std::size_t> length);

/// Both characters cases equal, ASCII only.
bool equals_ignoring_case(std::string_view a, std::string_view b);

/// The value of a parameter of a query, decoded; none when it is not there.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// "%2F" becomes "/". Malformed escapes stay as they are.
std::string percent_decode(std::string_view text);

}  // namespace bundle::server
