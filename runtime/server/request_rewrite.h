// Helpers for turning requests of other APIs into chat requests.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "runtime/server/api_error.h"

namespace bundle::server {

/// Success without a value. An ApiError could be made from a bool, too, so the result must be told.
inline ApiResult<bool> done() { return {boost::system::in_place_value, true}; }

/// The members of these names that `from` has.
inline JsonObject copied(const JsonObject& from, std::initializer_list<std::string_view> names) {
  JsonObject out;
  for (const std::string_view name : names) {
    if (const Json* value = from.if_contains(name)) out[name] = *value;
  }
  return out;
}

/// Copies a member under another name, when there is one.
inline void rename(const JsonObject& from, std::string_view name, JsonObject& to,
                   std::string_view other) {
  if (const Json* value = from.if_contains(name)) to[other] = *value;
}

/// The error with the names that the client used, for those of the chat request: pairs of both.
inline ApiError in_words_of_client(
    ApiError error, std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
  for (const auto& [ours, theirs] : names) {
    if (!error.param.starts_with(ours)) continue;
    const char next = error.param.size() > ours.size() ? error.param[ours.size()] : '.';
    if (next != '.' && next != '[') continue;
    error.param.replace(0, ours.size(), theirs);
    const std::string quoted = "'" + std::string(ours);
    const auto at = error.message.find(quoted);
    if (at != std::string::npos) error.message.replace(at + 1, ours.size(), theirs);
    break;
  }
  return error;
}

/// A text member, or `fallback` when it is absent or no text.
inline Json member_or(const Json& object, std::string_view name, std::string_view fallback) {
  const Json* value = find(object, name);
  return value != nullptr && value->is_string() ? *value : Json(fallback);
}

}  // namespace bundle::server
