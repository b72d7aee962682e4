// Authorization for one registry: Basic, or tokens fetched as its challenge says. Shared by the
// connections of one transfer.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/http_client.h"
#include "base/result.h"
#include "base/url.h"
#include "packager/registry/credentials.h"

namespace bundle::packager::registry {

struct RegistryOptions {
  bool plain_http = false;               // never tried unless it is asked for
  Path ca_file;                          // PEM, beside nothing else; "" takes the system's
  Path auth_file;                        // see find_credentials
  std::vector<std::string> token_hosts;  // hosts that may be given the password, beside the usual
};

/// The parts of a WWW-Authenticate header. A value.
struct Challenge {
  std::string scheme;  // "bearer" or "basic", lower case
  std::map<std::string, std::string> parameters;
};

/// Parses one header; an empty scheme when it is neither.
Challenge parse_challenge(std::string_view header);

/// Whether a registry's password may go to the host that issues its tokens: the registry itself, or
/// over TLS a host of the same domain ("auth.docker.io" for "registry-1.docker.io").
bool may_receive_password(const Url& registry, const Url& realm,
                          const std::vector<std::string>& allowed);

/// Thread-safe.
class TokenSource {
 public:
  TokenSource(Url registry, Credentials credentials, RegistryOptions options)
      : registry_(std::move(registry)),
        credentials_(std::move(credentials)),
        options_(std::move(options)) {}

  /// The Authorization header's value for a scope ("repository:team/model:pull"), or "".
  std::string header(const std::string& scope) const;

  /// Answers a 401: afterwards header(scope) has something new. kUnreachable when the registry
  /// refuses the credentials, kFailed when they would have to go to a host that is not trusted.
  Status answer(const HttpResponse& refusal, const std::string& scope, HttpClient& client);

  const RegistryOptions& options() const { return options_; }
  const Url& registry() const { return registry_; }

 private:
  Result<std::string> fetch_token(const Challenge& challenge, const std::string& scope,
                                  HttpClient& client) const;
  Error refused() const;

  Url registry_;
  Credentials credentials_;
  RegistryOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> headers_;  // scope -> value
};

}  // namespace bundle::packager::registry
