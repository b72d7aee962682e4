#include "runtime/server/web_address.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/base64.h"
#include "base/environment.h"

namespace bundle::server {
namespace {

constexpr std::size_t kMostBytes = 16384;

bool is_clean(std::string_view text) {
  return text.size() <= kMostBytes && std::ranges::all_of(text, [](char c) {
           return c > 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '<' && c != '>';
         });
}

Error no_address(std::string_view text) {
  return bad_input("not an http or https address: '" + std::string(text.substr(0, 200)) + "'");
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

/// "host:80", "[::1]:80" or without a port, which is then left as it is; false for another form.
bool split_authority(std::string_view text, WebAddress& into) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    into.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    into.host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (!port.empty()) into.port = port.substr(1);
  return !into.host.empty() && (port.empty() || (port.front() == ':' && is_port(into.port)));
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

/// One entry of no_proxy: "*", a name, or a name whose subdomains are meant too.
bool matches(std::string_view entry, std::string_view host) {
  while (entry.starts_with(' ')) entry.remove_prefix(1);
  while (entry.ends_with(' ')) entry.remove_suffix(1);
  if (entry == "*") return true;
  if (entry.starts_with('.')) entry.remove_prefix(1);
  if (entry.empty() || !host.ends_with(entry)) return false;
  return host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.';
}

bool is_direct(const std::string& host) {
  if (is_loopback(host)) return true;
  const std::string entries = from_environment({"no_proxy", "NO_PROXY"});
  for (std::string_view rest = entries; !rest.empty();) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    if (matches(rest.substr(0, end), host)) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

Result<WebProxy> parse_proxy(std::string_view text) {
  if (const std::size_t scheme = text.find("://"); scheme != text.npos) {
    if (text.substr(0, scheme) != "http") {
      return bad_input("the proxy is none to which plain HTTP is spoken", "",
                       "Name one as http://HOST:PORT, or except the receiver in no_proxy.");
    }
    text.remove_prefix(scheme + 3);
  }
  WebProxy proxy;
  if (const std::size_t at = text.rfind('@'); at != text.npos) {
    proxy.authorization = "Basic " + base64_encode(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  text = text.substr(0, text.find('/'));
  proxy.address.port = "1080";  // libcurl's, so that one setting means one thing
  if (!is_clean(text) || !split_authority(text, proxy.address)) {
    return bad_input("the proxy is no HOST:PORT");  // not printed: it may hold a password
  }
  return proxy;
}

}  // namespace

std::string WebAddress::authority() const {
  const std::string name = host.find(':') == host.npos ? host : '[' + host + ']';
  return port == (is_tls ? "443" : "80") ? name : name + ':' + port;
}

Result<WebAddress> parse_web_address(std::string_view text) {
  WebAddress address;
  std::string_view rest = text.substr(0, text.find('#'));
  const std::size_t scheme = rest.find("://");
  if (!is_clean(text) || scheme == rest.npos) return no_address(text);
  std::string name(rest.substr(0, scheme));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name != "http" && name != "https") return no_address(text);
  address.is_tls = name == "https";
  address.port = address.is_tls ? "443" : "80";
  rest.remove_prefix(scheme + 3);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  address.target = rest.substr(end);
  if (!address.target.starts_with('/')) address.target.insert(0, "/");
  const std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != authority.npos) {
    return bad_input("an address must not hold a user name or password");
  }
  if (!split_authority(authority, address)) return no_address(text);
  std::ranges::transform(address.host, address.host.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  return address;
}

Result<std::optional<WebProxy>> proxy_for(const WebAddress& address) {
  std::string text = address.is_tls ? from_environment({"https_proxy", "HTTPS_PROXY"})
                                    : from_environment({"http_proxy"});
  if (text.empty()) text = from_environment({"all_proxy", "ALL_PROXY"});
  if (text.empty() || is_direct(address.host)) return std::optional<WebProxy>();
  BUNDLE_TRY(WebProxy proxy, parse_proxy(text));
  return std::optional(std::move(proxy));
}

}  // namespace bundle::server
