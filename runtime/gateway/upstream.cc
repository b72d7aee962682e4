#include "runtime/gateway/upstream.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <boost/beast/http.hpp>

namespace bundle::gateway {
namespace {

/// Fields that belong to one connection (RFC 9110, 7.6.1), or that are written anew.
bool is_dropped(std::string_view name) {
  static constexpr std::array<std::string_view, 11> kNames = {
      "connection", "keep-alive",        "proxy-connection", "te",
      "trailer",    "transfer-encoding", "upgrade",          "expect",
      "host",       "content-length",    "x-request-id"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// Names that the Connection field adds to those.
bool is_named(std::string_view connection, std::string_view name) {
  while (!connection.empty()) {
    std::string_view one = connection.substr(0, connection.find(','));
    connection.remove_prefix(std::min(one.size() + 1, connection.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (server::equals_ignoring_case(one, name)) return true;
  }
  return false;
}

}  // namespace

std::string upstream_request(const server::HttpRequest& request, const Backend& backend,
                             bool as_http_1_0) {
  std::string text = request.method + " " + request.path;
  if (!request.query.empty()) text += "?" + request.query;
  text += as_http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  text += "Host: " + backend.name() + "\r\nConnection: close\r\n";
  const std::string_view connection = request.field("connection");
  for (const server::Field& field : request.fields) {
    if (is_dropped(field.name) || is_named(connection, field.name)) continue;
    text += field.name + ": " + field.value + "\r\n";
  }
  if (!request.id.empty()) text += "x-request-id: " + request.id + "\r\n";
  if (request.has_body() || request.method == "POST") {
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return text + "\r\n" + request.body;
}

int status_of(std::string_view head) {
  if (!head.starts_with("HTTP/1.") || head.size() < 12) return 0;
  int status = 0;
  std::from_chars(head.data() + 9, head.data() + 12, status);
  return status;
}

bool is_sound_head(std::string_view head) {
  namespace http = boost::beast::http;
  http::response_parser<http::empty_body> parser;
  parser.eager(false);
  parser.body_limit(boost::none);
  parser.header_limit(static_cast<std::uint32_t>(head.size() + 1));
  boost::system::error_code error;
  parser.put(boost::asio::buffer(head), error);
  return !error && parser.is_header_done();
}

std::size_t head_length(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  return end == std::string_view::npos ? end : end + 4;
}

}  // namespace bundle::gateway
