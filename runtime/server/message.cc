#include "runtime/server/message.h"

#include <algorithm>
#include <ctime>

#include <boost/beast/http/status.hpp>

namespace bundle::server {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

/// "Mon, 23 Nov 2026 21:29:07 GMT", made once a second.
const std::string& http_date() {
  thread_local std::time_t made_at = 0;
  thread_local std::string date;
  if (const std::time_t now = std::time(nullptr); now != made_at) {
    std::tm parts{};
    char text[40];
    gmtime_r(&now, &parts);
    date.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    made_at = now;
  }
  return date;
}

void append_connection(std::string& out, const HttpRequest& request, bool close) {
  if (close) {
    append_field(out, "Connection", "close");
  } else if (request.http_1_0) {
    append_field(out, "Connection", "keep-alive");
  }
}

}  // namespace

std::string_view HttpRequest::field(std::string_view name) const {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == name; });
  return found == fields.end() ? std::string_view() : found->value;
}

std::string response_head(const HttpResponse& response, const HttpRequest& request, bool close,
                          std::optional<std::size_t> length) {
  const auto reason =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(response.status));
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out += std::string_view(reason.data(), reason.size());
  out += "\r\n";
  if (!response.content_type.empty()) append_field(out, "Content-Type", response.content_type);
  const bool bodiless = response.status == 204 || response.status == 304;
  if (length && !bodiless) {
    append_field(out, "Content-Length", std::to_string(*length));
  } else if (bodiless) {
    // RFC 9110: 204 has no length, and that of 304 would be the other answer's.
  } else if (!request.http_1_0) {
    append_field(out, "Transfer-Encoding", "chunked");
  }
  append_field(out, "Date", http_date());
  append_connection(out, request, close);
  if (!request.id.empty()) append_field(out, "X-Request-Id", request.id);
  for (const Field& field : response.fields) append_field(out, field.name, field.value);
  out += "\r\n";
  return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::string_view key = pair.substr(0, pair.find('='));
    if (key != name) continue;
    return percent_decode(pair.substr(std::min(pair.size(), key.size() + 1)));
  }
  return std::nullopt;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2) {
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace bundle::server
