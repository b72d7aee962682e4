#include "packager/registry/connection.h"

#include <boost/json/array.hpp>

#include "base/json.h"

namespace bundle::packager::registry {
namespace {

/// Docker Hub's registry answers under another name than its references carry.
std::string api_host(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

/// The first message of the registry's error document, or "".
std::string message_of(const HttpResponse& response) {
  const auto document = parse_json(response.body, "");
  if (!document) return "";
  const Json* errors = find(*document, "errors");
  if (errors == nullptr || !errors->is_array() || errors->get_array().empty()) return "";
  const auto message = get_string_or(errors->get_array()[0], "message", "", "");
  if (!message) return "";
  std::string clean;
  for (const char c : message->substr(0, 300)) {
    clean += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return clean;
}

}  // namespace

Result<Connection> Connection::open(const RemoteReference& remote, const RegistryOptions& options) {
  const std::string scheme = options.plain_http ? "http://" : "https://";
  BUNDLE_TRY(Url url, parse_url(scheme + api_host(remote.registry) + '/'));
  BUNDLE_TRY(Credentials credentials, find_credentials(remote.registry, options.auth_file));
  return Connection(remote.repository,
                    std::make_shared<TokenSource>(std::move(url), std::move(credentials), options));
}

Url Connection::url(const std::string& path) const {
  Url url = registry();
  url.path = "/v2/" + repository_ + path;
  return url;
}

std::string Connection::scope_of(Access access, const std::string& from) const {
  std::string scope =
      "repository:" + repository_ + (access == Access::kPull ? ":pull" : ":pull,push");
  if (!from.empty()) scope += " repository:" + from + ":pull";
  return scope;
}

Result<HttpResponse> Connection::send_once(HttpRequest request, const std::string& scope,
                                           const OnHttpData& on_data, const OnHttpHead& on_head) {
  request.ca_file = tokens_->options().ca_file.string();
  const Authorization authorization{registry().origin(), tokens_->header(scope)};
  return send_following(client_, std::move(request), authorization, on_data, on_head);
}

Result<HttpResponse> Connection::send(HttpRequest request, Access access, const OnHttpData& on_data,
                                      const OnHttpHead& on_head, const std::string& from) {
  const std::string scope = scope_of(access, from);
  BUNDLE_TRY(HttpResponse response, send_once(request, scope, on_data, on_head));
  if (response.status == 401) {
    BUNDLE_CHECK(tokens_->answer(response, scope, client_));
    // A body that was streamed is gone: who has it sends it again.
    if (request.fill_body) return HttpResponse{503, {}, {}};
    BUNDLE_TRY(response, send_once(request, scope, on_data, on_head));
  }
  if (response.status == 401 || response.status == 403) {
    const std::string message = message_of(response);
    return Error{ErrorCode::kUnreachable,
                 "the registry does not allow this" + (message.empty() ? "" : ": " + message),
                 registry().origin() + '/' + repository_,
                 "Ask for the right to it, or log in as someone who has it."};
  }
  return response;
}

Error Connection::unexpected(const HttpResponse& response, const std::string& what,
                             const std::string& where) {
  const std::string message = message_of(response);
  const std::string text = what + ": the registry answers " + std::to_string(response.status) +
                           (message.empty() ? "" : " (" + message + ")");
  if (response.status == 404) return not_found(text, where);
  return {ErrorCode::kUnreachable, text, where,
          response.status == 413 ? "The registry does not take layers of this size." : ""};
}

}  // namespace bundle::packager::registry
