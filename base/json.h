// JSON: a strict parser for untrusted text, typed lookups that name what is wrong, and printing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace bundle {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

/// Parses one document. Refused, with line and column in `where`: text after the document, nesting
/// over 64, a key twice in one object, and invalid UTF-8.
Result<Json> parse_json(std::string_view text, std::string_view where);

/// Reads and parses a file of at most `cap` bytes.
Result<Json> read_json_file(const std::string& path, std::uint64_t cap = 64u << 20);

/// One line, keys in insertion order.
std::string print_json(const Json& value);
/// Indented by two spaces, with a final newline.
std::string pretty_json(const Json& value);

/// The member, or null when `value` is no object or has no such key.
const Json* find(const Json& value, std::string_view key);

/// Typed lookups. The `_or` forms give `fallback` when the key is absent or null, and an error when
/// it has another type; `where` names the document.
Result<std::int64_t> get_int(const Json& value, std::string_view key, std::string_view where);
Result<std::int64_t> get_int_or(const Json& value, std::string_view key, std::int64_t fallback,
                                std::string_view where);
Result<double> get_double_or(const Json& value, std::string_view key, double fallback,
                             std::string_view where);
Result<bool> get_bool_or(const Json& value, std::string_view key, bool fallback,
                         std::string_view where);
Result<std::string> get_string(const Json& value, std::string_view key, std::string_view where);
Result<std::string> get_string_or(const Json& value, std::string_view key, std::string fallback,
                                  std::string_view where);

}  // namespace bundle
