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
  explicit Api(Service& service);

  /// What can be refused before the body is read: unknown route, method, key, media type.
  std::optional<ApiError> check(const HttpRequest& head, Door door) const;
  /// Answers a request whose head passed check(). Never throws.
  Reply handle(const HttpRequest& request) const;
  /// Whether handle() may take long: it parses, renders and tokenizes.
  bool is_heavy(const HttpRequest& request) const { return request.method == "POST"; }

  /// Fields that every response to this request carries.
  std::vector<Field> common_fields(const HttpRequest& request) const;
  void count(const HttpRequest& request, int status) const;

 private:
  struct Route;
  static const Route* find(std::string_view path);
  static const std::vector<Route>& routes();

  bool has_key(const HttpRequest& head) const;
  ReplyResult answer(const HttpRequest& request) const;

  Service& service_;
  std::vector<std::string> key_hashes_;
};

}  // namespace bundle::server
