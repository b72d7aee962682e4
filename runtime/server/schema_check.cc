#include "runtime/server/schema_check.h"

#include <algorithm>
#include <span>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "runtime/server/pattern_check.h"

namespace bundle::server {
namespace {

using Names = std::span<const std::string_view>;

bool is_one(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// No grammar holds an output to these.
constexpr std::string_view kUnheld[] = {"not",
                                        "if",
                                        "then",
                                        "else",
                                        "uniqueItems",
                                        "dependentRequired",
                                        "contains",
                                        "minContains",
                                        "dependentSchemas",
                                        "maxContains",
                                        "$dynamicRef",
                                        "dependencies",
                                        "$recursiveRef",
                                        "additionalItems"};
// Each decides alone what a schema allows: the compiler leaves out what stands beside the first.
constexpr std::string_view kDeciding[] = {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"};
// What holds numbers, texts, arrays and objects.
constexpr std::string_view kOfNumbers[] = {"minimum", "maximum", "exclusiveMinimum",
                                           "exclusiveMaximum", "multipleOf"};
constexpr std::string_view kOfTexts[] = {"minLength", "maxLength", "pattern"};
constexpr std::string_view kOfArrays[] = {"items", "prefixItems", "unevaluatedItems", "minItems",
                                          "maxItems"};
constexpr std::string_view kOfObjects[] = {"properties",           "required",
                                           "additionalProperties", "patternProperties",
                                           "propertyNames",        "unevaluatedProperties",
                                           "minProperties",        "maxProperties"};
constexpr std::string_view kCounts[] = {"minLength", "maxLength",     "minItems",
                                        "maxItems",  "minProperties", "maxProperties"};
// Without a type these tell it.
constexpr std::string_view kTellType[] = {
    "properties", "additionalProperties", "unevaluatedProperties",
    "items",      "prefixItems",          "unevaluatedItems"};
// Keywords whose members are schemas, whose entries are, and that are one themselves.
constexpr std::string_view kMaps[] = {"properties", "patternProperties", "$defs", "definitions"};
constexpr std::string_view kLists[] = {"prefixItems", "anyOf", "oneOf", "allOf"};
constexpr std::string_view kSchemas[] = {"items", "additionalProperties", "unevaluatedProperties",
                                         "unevaluatedItems", "propertyNames"};

bool holds_something(std::string_view key) {
  return is_one(kOfNumbers, key) || is_one(kOfTexts, key) || is_one(kOfArrays, key) ||
         is_one(kOfObjects, key);
}

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "integer") {
    return value.is_int64() || value.is_uint64() ||
           (value.is_double() &&
            value.get_double() ==
                static_cast<double>(static_cast<std::int64_t>(value.get_double())));
  }
  return (type == "number" && value.is_number()) || (type == "string" && value.is_string()) ||
         (type == "boolean" && value.is_bool()) || (type == "null" && value.is_null()) ||
         (type == "array" && value.is_array()) || (type == "object" && value.is_object());
}

/// `type` is a name or a list of names.
bool fits_type(const Json& value, const Json& type) {
  if (const auto* name = type.if_string()) return is_of_type(value, *name);
  const auto* names = type.if_array();
  return names != nullptr && std::any_of(names->begin(), names->end(), [&](const Json& name) {
           return name.is_string() && is_of_type(value, name.get_string());
         });
}

/// Values that are listed, beside a type: each must be of it.
bool agree(std::string_view deciding, const Json& listed, const Json& type) {
  if (deciding == "const") return fits_type(listed, type);
  const auto* values = listed.if_array();
  return deciding == "enum" && values != nullptr &&
         std::all_of(values->begin(), values->end(),
                     [&](const Json& value) { return fits_type(value, type); });
}

/// What stands beside the keyword that decides alone.
std::optional<std::string> left_out(const JsonObject& schema) {
  const auto has = [&](std::string_view name) { return schema.contains(name); };
  const auto* deciding = std::find_if(std::begin(kDeciding), std::end(kDeciding), has);
  const bool any = deciding != std::end(kDeciding);
  const bool typed = has("type") || std::any_of(std::begin(kTellType), std::end(kTellType), has);
  if (!any && typed) return std::nullopt;
  for (const auto& [key, value] : schema) {
    if (any && key == *deciding) continue;
    if (any && key == "type" && !agree(*deciding, schema.at(*deciding), value)) return "type";
    if (holds_something(key) || is_one(kDeciding, key)) return std::string(key);
  }
  return std::nullopt;
}

/// A number of characters, entries or members that can be none.
bool is_count(const Json& value) {
  return (value.is_int64() && value.get_int64() >= 0) || value.is_uint64();
}

/// A name that must be there, of which the properties say nothing.
bool requires_unknown(const JsonObject& schema) {
  const Json* required = schema.if_contains("required");
  if (required == nullptr || !required->is_array()) return false;
  const Json* properties = schema.if_contains("properties");
  const auto& names = required->get_array();
  return std::any_of(names.begin(), names.end(), [&](const Json& name) {
    return !name.is_string() || properties == nullptr ||
           find(*properties, name.get_string()) == nullptr;
  });
}

bool is_unheld(const JsonObject& schema, std::string_view key, const Json& value) {
  if (is_one(kUnheld, key)) return !value.is_bool() || value.get_bool();
  if (is_one(kCounts, key)) return !is_count(value);
  if (key == "type") return value.is_array() && value.get_array().empty();
  if (key == "required") return requires_unknown(schema);
  if (key == "pattern") return !value.is_string() || !fits_json_string(value.get_string());
  if (key != "patternProperties" || !value.is_object()) return false;
  const auto& patterns = value.get_object();
  return std::any_of(patterns.begin(), patterns.end(),
                     [](const auto& entry) { return !fits_json_string(entry.key()); });
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
  if (const auto key = left_out(*object)) return path + "/" + *key;
  for (const auto& [key, value] : *object) {
    const std::string place = path + "/" + std::string(key);
    if (is_unheld(*object, key, value)) return place;
    std::optional<std::string> found;
    if (is_one(kMaps, key) || is_one(kLists, key)) {
      found = walk_all(value, place);
    } else if (is_one(kSchemas, key)) {
      found = value.is_array() ? walk_all(value, place) : walk(value, place);
    }
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> unheld_keyword(const Json& schema) { return walk(schema, ""); }

}  // namespace bundle::server
