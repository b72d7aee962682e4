#include "base/url.h"

#include <cctype>
#include <charconv>
#include <curl/curl.h>
#include <memory>

namespace bundle {
namespace {

struct Free {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, Free>;

constexpr std::size_t kMostUrlBytes = 16384;

std::string part_of(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(handle, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  ::curl_free(text);
  return copy;
}

Error no_url(std::string_view text) {
  return bad_input("not an http or https address: '" + std::string(text.substr(0, 200)) + "'");
}

bool is_clean(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\') return false;
  }
  return !text.empty() && text.size() <= kMostUrlBytes;
}

Result<Url> from_handle(CURLU* handle, std::string_view text) {
  Url url;
  url.scheme = part_of(handle, CURLUPART_SCHEME);
  url.host = part_of(handle, CURLUPART_HOST);
  for (char& c : url.host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  url.path = part_of(handle, CURLUPART_PATH);
  url.query = part_of(handle, CURLUPART_QUERY);
  const std::string port = part_of(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  std::from_chars(port.data(), port.data() + port.size(), url.port);
  const bool is_web = url.scheme == "http" || url.scheme == "https";
  if (!is_web || url.host.empty() || url.port <= 0) return no_url(text);
  if (!part_of(handle, CURLUPART_USER).empty() || !part_of(handle, CURLUPART_PASSWORD).empty()) {
    return bad_input("an address must not hold a user name or password", url.host);
  }
  return url;
}

}  // namespace

std::string Url::origin() const {
  const bool is_usual = port == (is_secure() ? 443 : 80);
  return scheme + "://" + host + (is_usual ? "" : ':' + std::to_string(port));
}

std::string Url::text() const { return origin() + path + (query.empty() ? "" : '?' + query); }

Result<Url> parse_url(std::string_view text) {
  const Handle handle(::curl_url());
  const std::string copy(text);
  if (!is_clean(text) ||
      ::curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), 0) != CURLUE_OK) {
    return no_url(text);
  }
  return from_handle(handle.get(), text);
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  const Handle handle(::curl_url());
  const std::string copy(location);
  if (!is_clean(location) ||
      ::curl_url_set(handle.get(), CURLUPART_URL, base.text().c_str(), 0) != CURLUE_OK ||
      ::curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), 0) != CURLUE_OK) {
    return no_url(location);
  }
  return from_handle(handle.get(), location);
}

std::string percent_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

bool is_loopback(const Url& url) {
  return url.host == "localhost" || url.host == "[::1]" ||
         (url.host.starts_with("127.") &&
          url.host.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace bundle
