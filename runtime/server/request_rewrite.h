// Helpers for turning requests of other APIs into chat requests.
#pragma once

#include <initializer_list>
#include <string_view>

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

/// A text member, or `fallback` when it is absent or no text.
inline Json member_or(const Json& object, std::string_view name, std::string_view fallback) {
  const Json* value = find(object, name);
  return value != nullptr && value->is_string() ? *value : Json(fallback);
}

}  // namespace bundle::server
