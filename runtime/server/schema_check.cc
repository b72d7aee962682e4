#include "runtime/server/schema_check.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace bundle::server {
namespace {

constexpr std::array<std::string_view, 10> kUnheld = {
    "not",         "if",       "then",        "else",       "dependentRequired", "dependentSchemas",
    "uniqueItems", "contains", "minContains", "maxContains"};
// Keywords whose members are schemas, whose entries are, and that are one themselves.
constexpr std::array<std::string_view, 4> kMaps = {"properties", "patternProperties", "$defs",
                                                   "definitions"};
constexpr std::array<std::string_view, 4> kLists = {"prefixItems", "anyOf", "oneOf", "allOf"};
constexpr std::array<std::string_view, 4> kSchemas = {"items", "additionalProperties",
                                                      "unevaluatedProperties", "propertyNames"};

template <std::size_t N>
bool is_one(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<std::string> walk(const Json& schema, const std::string& path);

std::optional<std::string> walk_all(const Json& schemas, const std::string& path) {
  if (const auto* map = schemas.if_object()) {
    for (const auto& [name, schema] : *map) {
      if (auto found = walk(schema, path + "/" + std::string(name))) return found;
    }
  }
  if (const auto* list = schemas.if_array()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (auto found = walk((*list)[i], path + "/" + std::to_string(i))) return found;
    }
  }
  return std::nullopt;
}

std::optional<std::string> walk(const Json& schema, const std::string& path) {
  const auto* object = schema.if_object();
  if (object == nullptr) return std::nullopt;
  for (const auto& [key, value] : *object) {
    const std::string name(key);
    const std::string place = path + "/" + name;
    const bool off = value.is_bool() && !value.get_bool();
    if (is_one(kUnheld, name) && !off) return place;
    std::optional<std::string> found;
    if (is_one(kMaps, name) || is_one(kLists, name)) {
      found = walk_all(value, place);
    } else if (is_one(kSchemas, name)) {
      found = value.is_array() ? walk_all(value, place) : walk(value, place);
    }
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> unheld_keyword(const Json& schema) { return walk(schema, ""); }

}  // namespace bundle::server
