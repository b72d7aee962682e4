#include "runtime/server/head_check.h"

#include <algorithm>

namespace bundle::server {
namespace {

constexpr std::size_t kMaxFields = 100;

ApiError malformed(std::string message) {
  return bad_http(400, "bad_request", "Malformed HTTP request: " + std::move(message) + ".");
}

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_field_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

/// The part before `separator`, which is removed with it from `rest`.
std::string_view cut(std::string_view& rest, std::string_view separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + separator.size());
  return part;
}

bool is_host(std::string_view host) {
  const auto allowed = [](char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos;
  };
  return !host.empty() && std::all_of(host.begin(), host.end(), allowed);
}

/// Visible ASCII without '#', every '%' followed by two digits, no encoded NUL.
bool is_target(std::string_view target) {
  for (std::size_t i = 0; i < target.size(); ++i) {
    const auto byte = static_cast<unsigned char>(target[i]);
    if (byte <= 0x20 || byte >= 0x7f || byte == '#') return false;
    if (byte != '%') continue;
    if (target.size() - i < 3 || !is_hex(target[i + 1]) || !is_hex(target[i + 2])) return false;
    if (target.substr(i + 1, 2) == "00") return false;
  }
  return !target.empty();
}

std::optional<ApiError> check_version(std::string_view version, HttpRequest& request) {
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    request.http_1_0 = version == "HTTP/1.0";
    return std::nullopt;
  }
  const bool other = version.size() == 8 && version.substr(0, 5) == "HTTP/" && version[6] == '.' &&
                     std::isdigit(static_cast<unsigned char>(version[5])) != 0 &&
                     std::isdigit(static_cast<unsigned char>(version[7])) != 0;
  if (!other) return malformed("the request line does not end in an HTTP version");
  return bad_http(505, "http_version_not_supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
}

/// Splits the target. `authority` is that of an absolute target, else "".
std::optional<ApiError> check_target(std::string_view target, HttpRequest& request,
                                     std::string& authority) {
  if (!is_target(target)) return malformed("the request target holds a character it may not");
  if (const auto scheme = to_lower(target.substr(0, 7)); scheme == "http://") {
    target.remove_prefix(7);
    const std::size_t slash = std::min(target.find_first_of("/?"), target.size());
    authority = target.substr(0, slash);
    if (!is_host(authority)) return malformed("the request target names no valid host");
    target.remove_prefix(slash);
    if (target.empty() || target.front() == '?') request.path = "/";
  }
  if (target == "*" && request.method == "OPTIONS") {
    request.path = "*";
    return std::nullopt;
  }
  if (!target.empty() && target.front() != '/' && request.path.empty()) {
    return malformed("the request target is no path");
  }
  request.path += cut(target, "?");
  request.query = target;
  return std::nullopt;
}

std::optional<ApiError> check_request_line(std::string_view line, HttpRequest& request,
                                           std::string& authority) {
  std::string_view rest = line;
  const std::string_view method = cut(rest, " ");
  const std::string_view target = cut(rest, " ");
  if (!is_token(method) || target.empty()) return malformed("the request line is not one");
  request.method = method;
  if (auto error = check_version(rest, request)) return error;
  return check_target(target, request, authority);
}

std::optional<ApiError> check_field(std::string_view line, HttpRequest& request) {
  if (line.front() == ' ' || line.front() == '\t') return malformed("a folded field");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a field without a colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return malformed("a field's name holds a character it may not");
  const std::string_view value = trim(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), is_field_char)) {
    return malformed("a field's value holds a control character");
  }
  if (request.fields.size() == kMaxFields) {
    return bad_http(431, "too_many_fields",
                    "A request may have " + std::to_string(kMaxFields) + " header fields.");
  }
  request.fields.push_back({to_lower(name), std::string(value)});
  return std::nullopt;
}

std::size_t count(const HttpRequest& request, std::string_view name) {
  const auto& fields = request.fields;
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; }));
}

std::optional<ApiError> check_host(const HttpRequest& request, const std::string& authority) {
  const std::size_t hosts = count(request, "host");
  if (hosts > 1) return malformed("more than one Host");
  if (hosts == 0) {
    return request.http_1_0 ? std::nullopt : std::optional(malformed("no Host"));
  }
  if (!is_host(request.field("host"))) return malformed("the Host is not one");
  if (!authority.empty() && !equals_ignoring_case(authority, request.field("host"))) {
    return malformed("the Host is not the target's");
  }
  return std::nullopt;
}

std::optional<ApiError> check_length(HttpRequest& request) {
  if (count(request, "content-length") > 1) return malformed("more than one Content-Length");
  const std::string_view text = request.field("content-length");
  if (count(request, "content-length") == 0) return std::nullopt;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  // 18 digits fit in 64 bits; a length beyond is over every limit, but must stay a number.
  if (!digits || text.size() > 18) return malformed("the Content-Length is no length");
  std::uint64_t length = 0;
  for (const char c : text) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  request.content_length = length;
  return std::nullopt;
}

std::optional<ApiError> check_transfer_encoding(HttpRequest& request) {
  const std::size_t encodings = count(request, "transfer-encoding");
  if (encodings == 0) return std::nullopt;
  if (encodings > 1) return malformed("more than one Transfer-Encoding");
  if (request.http_1_0) return malformed("a Transfer-Encoding in HTTP/1.0");
  if (request.content_length) return malformed("both Content-Length and Transfer-Encoding");
  if (!equals_ignoring_case(request.field("transfer-encoding"), "chunked")) {
    return bad_http(501, "transfer_encoding_not_supported",
                    "The only Transfer-Encoding known here is 'chunked'.");
  }
  request.chunked = true;
  return std::nullopt;
}

std::optional<ApiError> check_expectation(HttpRequest& request) {
  if (count(request, "expect") == 0) return std::nullopt;
  if (count(request, "expect") > 1 ||
      !equals_ignoring_case(request.field("expect"), "100-continue")) {
    return bad_http(417, "expectation_failed", "The only Expect known here is '100-continue'.");
  }
  request.expects_continue = !request.http_1_0 && request.has_body();
  return std::nullopt;
}

void read_connection(HttpRequest& request) {
  request.keep_alive = !request.http_1_0;
  for (const Field& field : request.fields) {
    if (field.name != "connection") continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::string_view option = trim(cut(rest, ","));
      if (equals_ignoring_case(option, "keep-alive")) request.keep_alive = true;
      if (equals_ignoring_case(option, "close")) {
        request.keep_alive = false;
        return;
      }
    }
  }
}

}  // namespace

bool HeadScanner::push(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (c == '\n') {
    failed_ = failed_ || !after_return_;
    const bool ended = at_line_start_;
    after_return_ = false;
    at_line_start_ = true;
    return ended && !failed_;
  }
  const bool control = (byte < 0x20 && c != '\t' && c != '\r') || byte == 0x7f;
  failed_ = failed_ || after_return_ || control;
  after_return_ = c == '\r';
  if (c != '\r') at_line_start_ = false;
  return false;
}

std::optional<ApiError> check_head(std::string_view head, HttpRequest& request) {
  std::string authority;
  if (auto error = check_request_line(cut(head, "\r\n"), request, authority)) return error;
  while (true) {
    const std::string_view line = cut(head, "\r\n");
    if (line.empty()) break;
    if (auto error = check_field(line, request)) return error;
  }
  if (auto error = check_host(request, authority)) return error;
  if (auto error = check_length(request)) return error;
  if (auto error = check_transfer_encoding(request)) return error;
  if (auto error = check_expectation(request)) return error;
  read_connection(request);
  return std::nullopt;
}

}  // namespace bundle::server
