// What went wrong with one request, and the one envelope that every error is sent in:
// {"error": {"message", "type", "param", "code"}}, all four keys, code a string or null.
//
// Codes are stable; docs/api-errors.md lists them. A mistake of the client's is never a 5xx:
// OpenAI's SDK sends a request that met 408, 409, 429 or 5xx again, twice.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/server/message.h"

namespace bundle::server {

struct ApiError {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string code = {};  // "": null
  std::string message = {};
  std::string param = {};          // the field at fault; "": null
  std::vector<Field> fields = {};  // Allow, Retry-After, WWW-Authenticate
  bool close = false;              // the connection is of no use any more
};

[[noreturn]] inline void throw_exception_from_error(const ApiError& error,
                                                    const boost::source_location&) {
  throw BadResult(error.message);
}

template <typename T>
using ApiResult = boost::system::result<T, ApiError>;

/// 400 about one field of the body ("" for none).
ApiError invalid_field(std::string param, std::string message, std::string code = "invalid_value");
/// 400 for a field that is known and not offered.
ApiError unsupported_field(std::string param, std::string message);
/// A malformed HTTP message: the connection closes after it.
ApiError bad_http(int status, std::string code, std::string message);
ApiError unauthorized(std::string message);
ApiError not_found_error(std::string code, std::string message, std::string param = {});
ApiError method_not_allowed(std::string method, std::string allow);
/// 429 about the limits of one key, with Retry-After.
ApiError rate_limited(std::string code, std::string message, double retry_after_seconds);
/// 403: the key is known, and may not do this.
ApiError forbidden(std::string message);
/// 504: the request's own time was over before it had a token. Clients should not send it again.
ApiError deadline_exceeded();
/// 503 with Retry-After in seconds.
ApiError unavailable(std::string code, std::string message, int retry_after_seconds);
ApiError internal_error(std::string message);

/// {"error": {…}} on one line.
std::string error_json(const ApiError& error);
HttpResponse error_response(const ApiError& error);

}  // namespace bundle::server
