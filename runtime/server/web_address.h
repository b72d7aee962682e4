// Addresses that the server sends to, and the proxies on the way there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::server {

/// An http or https address, checked. A value.
struct WebAddress {
  bool is_tls = false;
  std::string host;    // IPv6 without brackets
  std::string port;    // decimal
  std::string target;  // path and query, starts with '/'

  /// What a Host field holds: IPv6 in brackets, the port left out when it is the scheme's own.
  std::string authority() const;
};

/// kBadInput for another scheme, user names, a port that is none, and characters that no request
/// line may hold. A fragment is dropped.
Result<WebAddress> parse_web_address(std::string_view text);

/// A proxy to which plain HTTP is spoken.
struct WebProxy {
  WebAddress address;
  std::string authorization;  // value of Proxy-Authorization, or ""
};

/// The proxy for `address` by http_proxy (small letters alone), https_proxy, all_proxy and
/// no_proxy; nothing when it is reached directly, as loopback always is. kBadInput for a proxy that
/// wants TLS or SOCKS.
Result<std::optional<WebProxy>> proxy_for(const WebAddress& address);

}  // namespace bundle::server
