// http and https addresses: parsed, resolved against each other, compared by origin (libcurl).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle {

/// The parts of an address, checked. A value.
struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; IPv6 in brackets
  int port = 0;        // the scheme's own when none was written
  std::string path;    // starts with '/'
  std::string query;   // without '?'

  /// "https://host:5000", the port left out when it is the scheme's own.
  std::string origin() const;
  std::string text() const;
  bool is_secure() const { return scheme == "https"; }
};

/// kBadInput for other schemes, user names and passwords, and what libcurl would not fetch.
/// A fragment is dropped.
Result<Url> parse_url(std::string_view text);

/// What a Location header means on an answer from `base`.
Result<Url> resolve_url(const Url& base, std::string_view location);

/// For one part of a path or a query: everything but unreserved characters becomes %XX.
std::string percent_encode(std::string_view text);

/// True for localhost, 127.0.0.0/8 and ::1.
bool is_loopback(const Url& url);

}  // namespace bundle
