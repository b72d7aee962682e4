// Reading the API server's objects, which hold whatever a server says: what is not there, or is of
// another type, is empty.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"

namespace bundle::cloud {

/// "" where the path leads to no text.
std::string text_at(const Json& value, std::initializer_list<std::string_view> path);

/// Also of a text of digits, as quantities are; 0 where there is no number.
std::int64_t number_at(const Json& value, std::initializer_list<std::string_view> path);

/// The items of a list; none where it has none.
const JsonArray& items_of(const Json& list);

}  // namespace bundle::cloud
