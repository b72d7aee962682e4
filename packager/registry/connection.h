// Requests to one registry (OCI distribution 1.1): authorization, redirects, retries.
#pragma once

#include <memory>
#include <string>

#include "base/http_client.h"
#include "base/result.h"
#include "base/url.h"
#include "packager/download/retry.h"
#include "packager/registry/remote_reference.h"
#include "packager/registry/token_source.h"

namespace bundle::packager::registry {

/// What a request may do; the token is asked for that.
enum class Access { kPull, kPush };

/// One connection. Not thread-safe; copies by `another` share the tokens, one for each thread.
class Connection {
 public:
  /// Reads the credentials; contacts nobody.
  static Result<Connection> open(const RemoteReference& remote, const RegistryOptions& options);
  Connection another() const { return Connection(repository_, tokens_); }

  const std::string& repository() const { return repository_; }
  const Url& registry() const { return tokens_->registry(); }

  /// The address of something in the repository: url("/manifests/v1").
  Url url(const std::string& path) const;

  /// One request. The token goes to the registry's own origin alone: not along a redirect and not
  /// to an upload's location elsewhere. Redirects (of GET and HEAD) are followed up to 5 times,
  /// never from https to http. kUnreachable when the registry refuses (401, 403) or cannot be
  /// reached; other statuses are answers. `from` is a repository that the token must also read.
  Result<HttpResponse> send(HttpRequest request, Access access, const OnHttpData& on_data = {},
                            const OnHttpHead& on_head = {}, const std::string& from = "");

  /// The error that an unexpected answer means; `what` was being done.
  static Error unexpected(const HttpResponse& response, const std::string& what,
                          const std::string& where);

 private:
  Connection(std::string repository, std::shared_ptr<TokenSource> tokens)
      : repository_(std::move(repository)), tokens_(std::move(tokens)) {}

  Result<HttpResponse> send_once(HttpRequest request, const std::string& scope,
                                 const OnHttpData& on_data, const OnHttpHead& on_head);
  std::string scope_of(Access access, const std::string& from) const;

  std::string repository_;
  std::shared_ptr<TokenSource> tokens_;
  HttpClient client_;
};

}  // namespace bundle::packager::registry
