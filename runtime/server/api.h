// The table of routes: who may call what, and what answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/server/endpoints.h"

namespace bundle::server {

/// Which port a request came in by.
enum class Door { kPublic, kAdmin };

/// From requests to replies, without a socket. Thread-safe.
class Api {
 public:
  explicit Api(Service& service) : service_(service) {}

  /// Whose key a request came with; null when with none, or an unknown one.
  std::shared_ptr<Client> client_of(const HttpRequest& head) const;
  /// What can be refused before the body is read: unknown route, method, key, media type. The
  /// head's client is known.
  std::optional<ApiError> check(const HttpRequest& head, Door door) const;
  /// Answers a request whose head passed check(). Never throws.
  Reply handle(const HttpRequest& request) const;
  /// Whether handle() may take long: it parses, renders and tokenizes.
  bool is_heavy(const HttpRequest& request) const { return request.method == "POST"; }

  /// Fields that every response to this request carries.
  std::vector<Field> common_fields(const HttpRequest& request) const;
  void count(const HttpRequest& request, int status) const;
  /// The pattern that a path matches; "" when there is none.
  static std::string_view route_of(std::string_view path);

 private:
  struct Route;
  static const Route* find(std::string_view path);
  static const std::vector<Route>& routes();

  std::optional<ApiError> check_key(const HttpRequest& head, const Route* route) const;
  std::vector<Field> cors_fields(const HttpRequest& request) const;
  ReplyResult answer(const HttpRequest& request) const;

  Service& service_;
};

}  // namespace bundle::server
