#include "runtime/server/api_error.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "runtime/server/json_text.h"

namespace bundle::server {

ApiError invalid_field(std::string param, std::string message, std::string code) {
  return {.code = std::move(code), .message = std::move(message), .param = std::move(param)};
}

ApiError unsupported_field(std::string param, std::string message) {
  return invalid_field(std::move(param), std::move(message), "unsupported_value");
}

ApiError bad_http(int status, std::string code, std::string message) {
  return {.status = status, .code = std::move(code), .message = std::move(message), .close = true};
}

ApiError unauthorized(std::string message) {
  return {.status = 401,
          .type = "authentication_error",
          .code = "invalid_api_key",
          .message = std::move(message),
          .fields = {{"WWW-Authenticate", "Bearer"}}};
}

ApiError not_found_error(std::string code, std::string message, std::string param) {
  return {.status = 404,
          .code = std::move(code),
          .message = std::move(message),
          .param = std::move(param)};
}

ApiError method_not_allowed(std::string method, std::string allow) {
  return {.status = 405,
          .code = "method_not_allowed",
          .message = method + " is not allowed here; allowed: " + allow + ".",
          .fields = {{"Allow", std::move(allow)}}};
}

ApiError unavailable(std::string code, std::string message, int retry_after_seconds) {
  return {.status = 503,
          .type = "server_error",
          .code = std::move(code),
          .message = std::move(message),
          .fields = {{"Retry-After", std::to_string(retry_after_seconds)}}};
}

ApiError rate_limited(std::string code, std::string message, double retry_after_seconds) {
  const double wait = std::max(retry_after_seconds, 0.001);
  return {.status = 429,
          .type = "rate_limit_error",
          .code = std::move(code),
          .message = std::move(message),
          .fields = {{"Retry-After", std::to_string(static_cast<std::int64_t>(std::ceil(wait)))},
                     {"Retry-After-Ms", std::to_string(std::llround(std::ceil(wait * 1000)))}}};
}

ApiError forbidden(std::string message) {
  return {.status = 403,
          .type = "permission_error",
          .code = "insufficient_scope",
          .message = std::move(message)};
}

ApiError deadline_exceeded() {
  return {.status = 504,
          .type = "server_error",
          .code = "deadline_exceeded",
          .message = "The request's time was over before its first token.",
          .fields = {{"X-Should-Retry", "false"}}};
}

ApiError internal_error(std::string message) {
  return {.status = 500,
          .type = "server_error",
          .code = "internal_error",
          .message = std::move(message)};
}

std::string error_json(const ApiError& error) {
  const auto append_or_null = [](std::string& out, const std::string& text) {
    if (text.empty()) {
      out += "null";
    } else {
      append_json(out, replace_invalid_utf8(text));
    }
  };
  std::string out = R"({"error":{"message":)";
  append_json(out, replace_invalid_utf8(error.message));
  out += R"(,"type":)";
  append_json(out, error.type);
  out += R"(,"param":)";
  append_or_null(out, error.param);
  out += R"(,"code":)";
  append_or_null(out, error.code);
  out += "}}";
  return out;
}

HttpResponse error_response(const ApiError& error) {
  return {.status = error.status,
          .body = error_json(error),
          .fields = error.fields,
          .close = error.close};
}

}  // namespace bundle::server
